// Mixes samples with duller ones, as Pillow's blend does.
#pragma once

#include <slotcon/data/detail/luma.h>
#include <slotcon/data/detail/pixel_block.h>
#include <slotcon/data/detail/vector_target.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// dull + factor * (sample - dull), in float32, truncated and clipped to 0 ... 255.
///
/// The product is exact in float64 and rounded by the cast: no compiler can fuse it with the sum.
SLOTCON_VECTORISED int blend(int dull, int sample, float factor) {
  const auto product = static_cast<float>(static_cast<double>(factor) * (sample - dull));
  const float mixed = static_cast<float>(dull) + product;
  const float low = mixed > 0 ? mixed : 0.0f;
  return static_cast<int>(low < 255 ? low : 255.0f);
}

/// Blends `count` samples with `dull`.
struct BlendSamples {
  SLOTCON_VECTORISED static void run(std::uint8_t* samples, std::size_t count, int dull,
                                     float factor) {
    for (std::size_t i = 0; i < count; ++i) {
      samples[i] = static_cast<std::uint8_t>(blend(dull, samples[i], factor));
    }
  }
};

/// Blends `count` pixels with their luma.
struct BlendWithLuma {
  SLOTCON_VECTORISED static void run(std::uint8_t* pixels, std::size_t count, float factor) {
    change_each_pixel(pixels, count, BlendWithLuma{factor});
  }
  SLOTCON_VECTORISED ColourTriple operator()(int red, int green, int blue) const {
    const int gray = luma(red, green, blue);
    return {blend(gray, red, factor), blend(gray, green, factor), blend(gray, blue, factor)};
  }

  float factor;
};

}  // namespace slotcon::data::detail
