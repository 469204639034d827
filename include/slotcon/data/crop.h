// A rectangle of whole pixels.
#pragma once

#include <stdexcept>
#include <string>

namespace slotcon::data {

/// A rectangle inside of an image, in pixels: rows top ... top + height - 1, columns left ... left
/// + width - 1.
struct Crop {
  int top = 0;
  int left = 0;
  int height = 0;
  int width = 0;
};

namespace detail {

inline void check_crop(const char* who, const Crop& crop, int height, int width) {
  const bool inside = crop.top >= 0 && crop.left >= 0 && crop.height > 0 && crop.width > 0 &&
                      crop.height <= height - crop.top && crop.width <= width - crop.left;
  if (inside) return;
  throw std::invalid_argument(
      std::string(who) + ": expected a crop inside of the image of " + std::to_string(height) +
      " x " + std::to_string(width) + " pixels, got top " + std::to_string(crop.top) + ", left " +
      std::to_string(crop.left) + ", height " + std::to_string(crop.height) + ", width " +
      std::to_string(crop.width));
}

}  // namespace detail
}  // namespace slotcon::data
