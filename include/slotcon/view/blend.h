// Mixing a colour into a pixel.
#pragma once

#include <slotcon/view/color_map.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>

namespace slotcon::view {

/// Mixes `color` into a pixel: pixel = w pixel + (1 - w) color, rounded, with w = `image_weight` in
/// [0,1]; 1 leaves the pixel as it is. `pixel` points to its red, green and blue.
inline void blend(std::uint8_t* pixel, const Color& color, double image_weight) {
  for (std::size_t channel = 0; channel < color.size(); ++channel) {
    const double mixed = image_weight * pixel[channel] + (1.0 - image_weight) * color[channel];
    pixel[channel] = static_cast<std::uint8_t>(std::lround(mixed));
  }
}

namespace detail {

inline void check_image_weight(const char* who, double image_weight) {
  if (image_weight >= 0.0 && image_weight <= 1.0) return;
  std::ostringstream message;
  message << who << ": expected an image weight in [0,1], got " << image_weight;
  throw std::invalid_argument(message.str());
}

}  // namespace detail

}  // namespace slotcon::view
