// Box filters of a real-valued radius; three of them in a row approximate a Gaussian.
#pragma once

#include <slotcon/data/detail/row_block.h>
#include <slotcon/data/detail/vector_target.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slotcon::data::detail {

/// A box that covers 2 * reach + 1 samples fully and the one beyond them to each side in part, with
/// weights of 24 fractional bits.
struct Box1d {
  int reach;
  std::uint32_t inner, outer;
};

/// The box of which three in a row have the standard deviation sigma. Source: Gwosdek, Grewenig,
/// Bruhn, Weickert, "Theoretical foundations of Gaussian convolution by extended box filtering",
/// SSVM 2011. In float32, as in Pillow.
inline Box1d box_for_gaussian(float sigma) {
  constexpr int kPasses = 3;
  const float variance = sigma * sigma / static_cast<float>(kPasses);
  const float length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const float whole = std::floor(static_cast<float>((length - 1.0) / 2.0));
  // The cast rounds the product before the difference: no compiler can fuse them.
  const float excess = whole * (whole + 1) - static_cast<float>(3.0 * variance);
  const float part = (2 * whole + 1) * excess / (6 * (variance - (whole + 1) * (whole + 1)));
  const float radius = whole + part;
  constexpr std::uint32_t kUnit = 1u << 24;
  Box1d box{};
  box.reach = static_cast<int>(radius);
  box.inner = static_cast<std::uint32_t>(static_cast<float>(kUnit) / (radius * 2 + 1));
  box.outer = (kUnit - static_cast<std::uint32_t>(2 * box.reach + 1) * box.inner) / 2;
  return box;
}

/// Filters down each column of `count` lines of `length` bytes; the first and the last line repeat
/// beyond the ends. Running sums make the cost independent of the reach.
struct BoxBlurLines {
  SLOTCON_VECTORISED static void run(const std::uint8_t* input, int count, std::size_t length,
                                     Box1d box, std::uint32_t* __restrict sums,
                                     std::uint8_t* __restrict output) {
    const auto line = [=](int index) {
      return input + static_cast<std::size_t>(std::clamp(index, 0, count - 1)) * length;
    };
    std::fill_n(sums, length, 0u);
    for (int index = -box.reach - 1; index < box.reach; ++index) {
      const std::uint8_t* entering = line(index);
      for (std::size_t i = 0; i < length; ++i) sums[i] += entering[i];
    }
    for (int index = 0; index < count; ++index, output += length) {
      const std::uint8_t* leaving = line(index - box.reach - 1);
      const std::uint8_t* entering = line(index + box.reach);
      const std::uint8_t* next = line(index + box.reach + 1);
      for (std::size_t i = 0; i < length; ++i) {
        const std::uint32_t inside = sums[i] + entering[i] - leaving[i];
        const std::uint32_t edges = static_cast<std::uint32_t>(leaving[i] + next[i]);
        sums[i] = inside;
        output[i] =
            static_cast<std::uint8_t>((inside * box.inner + edges * box.outer + (1u << 23)) >> 24);
      }
    }
  }
};

/// Three box filters along the rows of an RGB image and three along its columns, in place.
inline void blur_with_boxes(std::uint8_t* pixels, int height, int width, Box1d box) {
  const std::size_t stride = 3 * static_cast<std::size_t>(width);
  std::vector<std::uint32_t> sums(std::max(stride, RowBlock::kLanes));
  std::vector<std::uint8_t> spare;
  const auto blur_lines = [&](std::uint8_t* lines, int count, std::size_t length) {
    spare.resize(std::max(spare.size(), 2 * static_cast<std::size_t>(count) * length));
    std::uint8_t* once = spare.data();
    std::uint8_t* twice = once + static_cast<std::size_t>(count) * length;
    run_vectorised<BoxBlurLines>(lines, count, length, box, sums.data(), once);
    run_vectorised<BoxBlurLines>(once, count, length, box, sums.data(), twice);
    run_vectorised<BoxBlurLines>(twice, count, length, box, sums.data(), lines);
  };
  std::vector<std::uint8_t> columns(RowBlock::kLanes * static_cast<std::size_t>(width));
  for (int top = 0; top < height; top += RowBlock::kRows) {
    const int rows = std::min(RowBlock::kRows, height - top);
    std::uint8_t* first = pixels + static_cast<std::size_t>(top) * stride;
    RowBlock::gather(first, stride, width, rows, columns.data());
    blur_lines(columns.data(), width, RowBlock::kLanes);
    RowBlock::scatter(columns.data(), width, rows, first, stride);
  }
  blur_lines(pixels, height, stride);
}

}  // namespace slotcon::data::detail
