// Writes the pickles of plain Python values.
#pragma once

#include <slotcon/io/detail/append_number.h>

#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>

namespace slotcon::io::detail {

/// Each call writes the instructions that put a value on the stack of Python's pickle, or that
/// combine values on it.
class PickleWriter {
 public:
  PickleWriter(std::ostream& out, std::uint8_t protocol) : out_(out) {
    put("\x80");
    put_number(protocol);
  }

  void text(std::string_view value) {
    put("X");
    put_number(static_cast<std::uint32_t>(value.size()));
    put(value);
  }

  void integer(std::int64_t value) {
    if (value >= 0 && value <= std::numeric_limits<std::uint8_t>::max()) {
      put("K");
      put_number(static_cast<std::uint8_t>(value));
    } else if (static_cast<std::int32_t>(value) == value) {
      put("J");
      put_number(static_cast<std::int32_t>(value));
    } else {
      put("\x8a\x08");
      put_number(value);
    }
  }

  template <class Integers>
  void integers(const Integers& values) {
    mark();
    for (const auto value : values) integer(value);
    tuple();
  }

  /// Protocol 4.
  void bytes(std::string_view value) {
    put("\x8e");
    put_number(static_cast<std::uint64_t>(value.size()));
    put(value);
  }

  void none() { put("N"); }
  void boolean(bool value) { put(value ? "\x88" : "\x89"); }
  void dictionary() { put("}"); }

  void global(std::string_view module, std::string_view name) {
    put("c");
    put(module);
    put("\n");
    put(name);
    put("\n");
  }

  /// The values up to tuple() or items() belong together.
  void mark() { put("("); }
  void tuple() { put("t"); }
  /// Keys and values by turns, into the dictionary below the mark.
  void items() { put("u"); }
  /// The global below the tuple at the top, called with it.
  void call() { put("R"); }
  /// The attributes of the object below the value at the top.
  void state() { put("b"); }
  /// The tuple at the top as a reference to what lies beside the pickle.
  void reference() { put("Q"); }
  void end() { put("."); }

 private:
  void put(std::string_view bytes) {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  template <class Number>
  void put_number(Number number) {
    std::string bytes;
    append_number(bytes, number);
    put(bytes);
  }

  std::ostream& out_;
};

}  // namespace slotcon::io::detail
