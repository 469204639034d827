// Reads numbers and text from bytes in memory, never beyond their end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace slotcon::io::detail {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the numbers of .pth and safetensors files are little-endian and read as they are");

/// A place in some bytes, which must outlive it. Throws std::runtime_error with the bare reason.
class ByteCursor {
 public:
  /// `what` the bytes are, for messages.
  ByteCursor(const char* what, std::string_view bytes) : what_(what), bytes_(bytes) {}

  std::size_t place() const { return place_; }
  std::size_t left() const { return bytes_.size() - place_; }

  std::string_view take(std::uint64_t count) {
    if (count > left()) throw std::runtime_error(std::string(what_) + " ends too early");
    const auto taken = bytes_.substr(place_, static_cast<std::size_t>(count));
    place_ += taken.size();
    return taken;
  }

  template <class Number>
  Number number() {
    static_assert(std::is_integral_v<Number>);
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  /// The text up to the next `end`, which is left out and passed.
  std::string_view take_until(char end) {
    const auto text = take(std::min(bytes_.find(end, place_), bytes_.size()) - place_);
    take(1);
    return text;
  }

 private:
  const char* what_;
  std::string_view bytes_;
  std::size_t place_ = 0;
};

}  // namespace slotcon::io::detail
