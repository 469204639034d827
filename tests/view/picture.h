// Making and reading small pictures in tests.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/view/color_map.h>

#include <algorithm>

/// An image of one colour.
inline slotcon::data::Image filled(int height, int width, const slotcon::view::Color& color) {
  slotcon::data::Image image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) std::copy(color.begin(), color.end(), image.at(y, x));
  }
  return image;
}

inline slotcon::view::Color color_at(const slotcon::data::Image& image, int y, int x) {
  const auto* const pixel = image.at(y, x);
  return {pixel[0], pixel[1], pixel[2]};
}
