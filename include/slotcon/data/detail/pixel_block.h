// Pixels taken apart into one array a channel, and back: what vector code likes to read.
#pragma once

#include <slotcon/data/detail/vector_target.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// Red, green and blue or hue, saturation and value of a pixel, each in 0 ... 255.
struct ColourTriple {
  int first, second, third;
};

/// Up to kSize pixels.
struct PixelBlock {
  static constexpr std::size_t kSize = 64;

  SLOTCON_VECTORISED void gather(const std::uint8_t* pixels, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      red[i] = pixels[3 * i];
      green[i] = pixels[3 * i + 1];
      blue[i] = pixels[3 * i + 2];
    }
  }

  SLOTCON_VECTORISED void scatter(std::uint8_t* pixels, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      pixels[3 * i] = static_cast<std::uint8_t>(red[i]);
      pixels[3 * i + 1] = static_cast<std::uint8_t>(green[i]);
      pixels[3 * i + 2] = static_cast<std::uint8_t>(blue[i]);
    }
  }

  int red[kSize] = {}, green[kSize] = {}, blue[kSize] = {};
};

/// Replaces each of `count` pixels by what `change`, whose call operator is SLOTCON_VECTORISED,
/// makes of its red, green and blue.
template <class Change>
SLOTCON_VECTORISED void change_each_pixel(std::uint8_t* pixels, std::size_t count,
                                          const Change& change) {
  PixelBlock block;
  for (std::size_t start = 0; start < count; start += PixelBlock::kSize) {
    const std::size_t size = std::min(PixelBlock::kSize, count - start);
    block.gather(pixels + 3 * start, size);
    for (std::size_t i = 0; i < PixelBlock::kSize; ++i) {
      const ColourTriple changed = change(block.red[i], block.green[i], block.blue[i]);
      block.red[i] = changed.first;
      block.green[i] = changed.second;
      block.blue[i] = changed.third;
    }
    block.scatter(pixels + 3 * start, size);
  }
}

}  // namespace slotcon::data::detail
