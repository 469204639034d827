// What any page of HTML needs: text that stands for itself, and files inside of the page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace slotcon::view {

namespace detail {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// The length of the well-formed UTF-8 character at the start of `text`, 1 to 4; 0: there is none.
/// Source: The Unicode Standard 15.0, table 3-7.
inline std::size_t utf8_length(std::string_view text) {
  const auto in = [&](std::size_t i, unsigned low, unsigned high) {
    const unsigned byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    return byte >= low && byte <= high;
  };
  const auto follow = [&](std::size_t first, std::size_t length) {
    for (std::size_t i = first; i < length; ++i) {
      if (!in(i, 0x80, 0xBF)) return std::size_t{0};
    }
    return length;
  };
  if (in(0, 0x00, 0x7F)) return text.empty() ? 0 : 1;
  if (in(0, 0xC2, 0xDF)) return follow(1, 2);
  if (in(0, 0xE0, 0xEF)) {
    const bool second = in(0, 0xE0, 0xE0)   ? in(1, 0xA0, 0xBF)
                        : in(0, 0xED, 0xED) ? in(1, 0x80, 0x9F)
                                            : in(1, 0x80, 0xBF);
    return second ? follow(2, 3) : 0;
  }
  if (in(0, 0xF0, 0xF4)) {
    const bool second = in(0, 0xF0, 0xF0)   ? in(1, 0x90, 0xBF)
                        : in(0, 0xF4, 0xF4) ? in(1, 0x80, 0x8F)
                                            : in(1, 0x80, 0xBF);
    return second ? follow(2, 4) : 0;
  }
  return 0;
}

/// Whether neither HTML nor XML has the character: controls but tab and ends of lines, U+FFFE and
/// U+FFFF.
inline bool is_forbidden(std::string_view character) {
  if (character.size() == 1) {
    const auto code = static_cast<unsigned char>(character[0]);
    return (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || code == 0x7F;
  }
  return character == "\xEF\xBF\xBE" || character == "\xEF\xBF\xBF";
}

}  // namespace detail

/// Text as HTML and XML: it stands for itself between tags and in quoted attributes, whatever it
/// holds.
///
/// & < > " ' become &amp; &lt; &gt; &quot; &#39;. `text` is UTF-8; each byte of it that is not, and
/// each control character but tab and ends of lines, becomes U+FFFD, the replacement character, so
/// a name of a file is shown whatever bytes it has.
inline std::string escape_html(std::string_view text) {
  std::string html;
  html.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = detail::utf8_length(text);
    const std::string_view character = text.substr(0, length);
    if (length == 0 || detail::is_forbidden(character)) {
      html += detail::kReplacement;
    } else if (character == "&") {
      html += "&amp;";
    } else if (character == "<") {
      html += "&lt;";
    } else if (character == ">") {
      html += "&gt;";
    } else if (character == "\"") {
      html += "&quot;";
    } else if (character == "'") {
      html += "&#39;";
    } else {
      html += character;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return html;
}

/// Bytes in base64 with padding, on one line. Source: RFC 4648, section 4.
inline std::string base64(const std::vector<std::uint8_t>& bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0U);
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? kDigits[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return text;
}

/// A file as an address, for pages that need no other file: "data:image/png;base64,...".
/// Source: RFC 2397.
inline std::string data_uri(std::string_view media_type, const std::vector<std::uint8_t>& bytes) {
  return "data:" + std::string(media_type) + ";base64," + base64(bytes);
}

}  // namespace slotcon::view
