// Smooth random fields over the plane, computed at any point without any state.
#pragma once

#include <slotcon/data/detail/fixed_point.h>

#include <cstdint>

namespace slotcon::data::detail {

/// A random number in [0, 1) that belongs to the integer point (x, y) of the field `key`.
inline Fixed lattice_noise(Fixed x, Fixed y, std::uint32_t key) {
  std::uint32_t hash = static_cast<std::uint32_t>(x) * 374761393u +
                       static_cast<std::uint32_t>(y) * 668265263u + key * 2246822519u;
  hash = (hash ^ (hash >> 13)) * 1274126177u;
  return static_cast<Fixed>((hash ^ (hash >> 16)) >> 16);
}

/// Lattice noise, interpolated smoothly between the integer points: one bump a unit of length.
inline Fixed value_noise(Fixed x, Fixed y, std::uint32_t key) {
  const auto smooth = [](Fixed t) { return multiply(multiply(t, t), 3 * kOne - 2 * t); };
  const Fixed column = floor_of(x), row = floor_of(y);
  const Fixed across = smooth(fraction_of(x)), down = smooth(fraction_of(y));
  const Fixed top =
      blend(lattice_noise(column, row, key), lattice_noise(column + 1, row, key), across);
  const Fixed bottom =
      blend(lattice_noise(column, row + 1, key), lattice_noise(column + 1, row + 1, key), across);
  return blend(top, bottom, down);
}

/// Three octaves of value noise, each twice as fine and half as strong as the one before; in [0,
/// 1).
inline Fixed fractal_noise(Fixed x, Fixed y, std::uint32_t key) {
  const Fixed sum = 4 * value_noise(x, y, key) + 2 * value_noise(2 * x, 2 * y, key + 101) +
                    value_noise(4 * x, 4 * y, key + 202);
  return sum / 7;
}

}  // namespace slotcon::data::detail
