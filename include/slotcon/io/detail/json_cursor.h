// As much of JSON as a safetensors header has: objects, arrays of numbers, text.
#pragma once

#include <slotcon/io/detail/utf8.h>

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace slotcon::io::detail {

/// A place in a JSON text, which must outlive it. What is not as expected throws
/// std::runtime_error with the bare reason.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  bool at_end() {
    skip_space();
    return place_ == text_.size();
  }

  void expect(char wanted) {
    if (!take(wanted)) fail(std::string("a '") + wanted + "'");
  }

  bool take(char wanted) {
    if (at_end() || text_[place_] != wanted) return false;
    ++place_;
    return true;
  }

  /// An integer from 0 to 2^63 - 1.
  std::int64_t integer() {
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    skip_space();
    const auto begin = place_;
    std::int64_t value = 0;
    for (; place_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[place_])) != 0;
         ++place_) {
      const int digit = text_[place_] - '0';
      if (value > (kMax - digit) / 10) fail("an integer below 2^63");
      value = 10 * value + digit;
    }
    if (place_ == begin) fail("an integer that is not negative");
    return value;
  }

  std::string string() {
    expect('"');
    std::string value;
    while (place_ < text_.size() && text_[place_] != '"') {
      if (text_[place_] == '\\') {
        ++place_;
        append_escaped(value);
      } else {
        append_character(value);
      }
    }
    if (place_ == text_.size()) fail("the end of a text");
    ++place_;
    return value;
  }

  /// Calls `read(key)` for each member of an object, which must read its value.
  template <class Read>
  void object(const Read& read) {
    expect('{');
    if (take('}')) return;
    do {
      const auto key = string();
      expect(':');
      read(key);
    } while (take(','));
    expect('}');
  }

  /// Calls `read()` for each element of an array, which must read it.
  template <class Read>
  void array(const Read& read) {
    expect('[');
    if (take(']')) return;
    do {
      read();
    } while (take(','));
    expect(']');
  }

  [[noreturn]] void fail(const std::string& wanted) const {
    throw std::runtime_error("expected " + wanted + " at byte " + std::to_string(place_) +
                             " of its header");
  }

 private:
  void skip_space() {
    while (place_ < text_.size() &&
           std::string_view(" \t\n\r").find(text_[place_]) != std::string_view::npos)
      ++place_;
  }

  void append_character(std::string& value) {
    const auto length = utf8_length(text_.substr(place_));
    if (length == 0 || static_cast<unsigned char>(text_[place_]) < 0x20) fail("a character");
    value += text_.substr(place_, length);
    place_ += length;
  }

  void append_escaped(std::string& value) {
    constexpr std::string_view kCodes = "\"\\/bfnrt", kCharacters = "\"\\/\b\f\n\r\t";
    const char code = place_ < text_.size() ? text_[place_] : '\0';
    const auto found = kCodes.find(code);
    if (code != 'u' && found == std::string_view::npos) fail("an escaped character");
    ++place_;
    if (code == 'u') {
      append_utf8(value, escaped_code_point());
    } else {
      value += kCharacters[found];
    }
  }

  /// The rest of \uXXXX, or of two of them for what has more than 16 bits.
  std::uint32_t escaped_code_point() {
    const auto first = hexadecimal();
    if (first < 0xD800 || first >= 0xE000) return first;
    const bool pair = text_.substr(place_, 2) == "\\u";
    if (!pair || first >= 0xDC00) fail("the other half of an escaped character");
    place_ += 2;
    const auto second = hexadecimal();
    if (second < 0xDC00 || second >= 0xE000) fail("the other half of an escaped character");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  std::uint32_t hexadecimal() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++place_) {
      const auto digit = place_ < text_.size() ? text_[place_] : '\0';
      const auto found =
          std::string_view("0123456789abcdef")
              .find(static_cast<char>(std::tolower(static_cast<unsigned char>(digit))));
      if (digit == '\0' || found == std::string_view::npos) fail("four hexadecimal digits");
      value = value << 4 | static_cast<std::uint32_t>(found);
    }
    return value;
  }

  std::string_view text_;
  std::size_t place_ = 0;
};

}  // namespace slotcon::io::detail
