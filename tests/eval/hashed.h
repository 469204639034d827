// Numbers without a pattern that tests and their generator scripts make alike (see hashed.py).
#pragma once

#include <slotcon/data/image.h>

#include <cstdint>

/// 16 bits that look random.
inline std::uint32_t hashed(std::uint32_t index) {
  std::uint32_t bits = index * 2654435761u;
  bits ^= bits >> 15;
  bits *= 2246822519u;
  return bits >> 16;
}

/// An image whose values are hashed(0), hashed(1), ... modulo 256.
inline slotcon::data::Image hashed_image(int height, int width) {
  slotcon::data::Image image(height, width);
  std::uint32_t index = 0;
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(hashed(index++) % 256);
  return image;
}
