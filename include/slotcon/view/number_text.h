// Numbers as people read them: few digits, thousands apart, the same in every locale.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <locale>
#include <sstream>
#include <string>

namespace slotcon::view {

namespace detail {

/// With `digits` after the point.
inline std::string classic_text(double value, int digits, bool scientific) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.setf(scientific ? std::ios::scientific : std::ios::fixed, std::ios::floatfield);
  text.precision(digits);
  text << value;
  return text.str();
}

/// Without the zeros at the end of a fraction.
inline std::string without_zeros(std::string digits) {
  if (digits.find('.') == std::string::npos) return digits;
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

/// "1.5e-4" for "1.50e-04".
inline std::string short_exponent(const std::string& scientific) {
  const auto e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  return without_zeros(scientific.substr(0, e)) + "e" + std::to_string(exponent);
}

}  // namespace detail

/// A number with `decimals` >= 0 digits after the point and commas between thousands: "2,640.5".
/// Zero has no sign; what is not finite is "-".
inline std::string fixed_number(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  std::string text = detail::classic_text(std::abs(value), decimals, /*scientific=*/false);
  const auto point = std::min(text.find('.'), text.size());
  for (std::size_t i = point; i > 3; i -= 3) text.insert(i - 3, ",");
  const bool zero = text.find_first_of("123456789") == std::string::npos;
  return value < 0 && !zero ? "-" + text : text;
}

/// A number with about three significant digits, without zeros at its end: "1.36", "0.0031",
/// "2,640", "1.2e-5", "3e8". Whole below ten million from 100 on; what is not finite is "-".
inline std::string short_number(double value) {
  const double size = std::abs(value);
  if (!std::isfinite(value)) return "-";
  if (size != 0 && (size < 0.001 || size >= 1e7)) {
    return detail::short_exponent(detail::classic_text(value, 2, /*scientific=*/true));
  }
  const int magnitude = size == 0 ? 0 : static_cast<int>(std::floor(std::log10(size)));
  return detail::without_zeros(fixed_number(value, std::max(0, 2 - magnitude)));
}

/// A share as a percentage: "30.1%", and "0.049%" below one percent.
inline std::string percent_text(double share) {
  const double percent = 100 * share;
  const bool small = std::abs(percent) < 1;
  return (small ? short_number(percent) : detail::without_zeros(fixed_number(percent, 1))) + "%";
}

}  // namespace slotcon::view
