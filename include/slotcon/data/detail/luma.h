// The gray of coloured pixels.
#pragma once

#include <slotcon/data/detail/pixel_block.h>
#include <slotcon/data/detail/vector_target.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// The luma of ITU-R BT.601 in 16-bit fixed point, 0 ... 255.
SLOTCON_VECTORISED int luma(int red, int green, int blue) {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

/// Replaces `count` pixels by their luma in all three channels.
struct Grayscale {
  SLOTCON_VECTORISED static void run(std::uint8_t* pixels, std::size_t count) {
    change_each_pixel(pixels, count, Grayscale());
  }
  SLOTCON_VECTORISED ColourTriple operator()(int red, int green, int blue) const {
    const int gray = luma(red, green, blue);
    return {gray, gray, gray};
  }
};

/// Adds the luma of `count` pixels to `sum`.
struct SumLuma {
  SLOTCON_VECTORISED static void run(const std::uint8_t* pixels, std::size_t count,
                                     std::uint64_t* sum) {
    PixelBlock block;
    for (std::size_t start = 0; start < count; start += PixelBlock::kSize) {
      const std::size_t size = std::min(PixelBlock::kSize, count - start);
      block.gather(pixels + 3 * start, size);
      int of_block = 0;
      for (std::size_t i = 0; i < size; ++i) {
        of_block += luma(block.red[i], block.green[i], block.blue[i]);
      }
      *sum += static_cast<std::uint64_t>(of_block);
    }
  }
};

}  // namespace slotcon::data::detail
