// Fixed-point arithmetic: real numbers that come out the same on every compiler and processor.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// A real number times 65536.
using Fixed = std::int64_t;

constexpr Fixed kOne = 65536;

/// Rounds to the nearest; scaling by a power of two is exact, so that the result is too.
constexpr Fixed fixed(double value) {
  return static_cast<Fixed>(value * 65536.0 + (value < 0 ? -0.5 : 0.5));
}
constexpr Fixed multiply(Fixed a, Fixed b) { return (a * b) >> 16; }
constexpr Fixed divide(Fixed a, Fixed b) { return a * kOne / b; }
constexpr Fixed floor_of(Fixed value) { return value >> 16; }
constexpr Fixed fraction_of(Fixed value) { return value & (kOne - 1); }
constexpr Fixed clamp(Fixed value, Fixed low, Fixed high) {
  return value < low ? low : (value > high ? high : value);
}
constexpr Fixed blend(Fixed from, Fixed to, Fixed share) {
  return from + multiply(to - from, share);
}

/// The sine of an angle given as a fraction of a full turn, in steps of 1/1024 turn.
///
/// No entry of the table lies near enough to a rounding tie for two math libraries to disagree.
inline Fixed sine(Fixed turns) {
  static const std::array<std::int32_t, 1024> table = [] {
    constexpr double kTwoPi = 6.283185307179586;
    std::array<std::int32_t, 1024> sines{};
    for (std::size_t step = 0; step < sines.size(); ++step) {
      const double angle = kTwoPi * static_cast<double>(step) / 1024.0;
      sines[step] = static_cast<std::int32_t>(std::lround(65536.0 * std::sin(angle)));
    }
    return sines;
  }();
  return table[static_cast<std::size_t>((turns >> 6) & 1023)];
}
inline Fixed cosine(Fixed turns) { return sine(turns + kOne / 4); }

/// The square root of a sum of squares; IEEE square roots are exact, so that the result is too.
inline Fixed hypotenuse(Fixed a, Fixed b) {
  return static_cast<Fixed>(std::sqrt(static_cast<double>(a * a + b * b)));
}

}  // namespace slotcon::data::detail
