// Numbers as the formats have them: little-endian.
#pragma once

#include <string>
#include <type_traits>

namespace slotcon::io::detail {

template <class Number>
void append_number(std::string& bytes, Number number) {
  static_assert(std::is_integral_v<Number>);
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace slotcon::io::detail
