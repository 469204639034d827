// Mixes a sample with a duller one, as Pillow's blend does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// The luma of ITU-R BT.601 in 16-bit fixed point.
inline std::uint8_t luma(const std::uint8_t* pixel) {
  return static_cast<std::uint8_t>(
      (19595u * pixel[0] + 38470u * pixel[1] + 7471u * pixel[2] + 32768u) >> 16);
}

/// dull + factor * (sample - dull), in float32, truncated and clipped to 0 ... 255.
///
/// The products are tabled: stored, they are rounded before the sum, so that the compiler cannot
/// fuse the two, and samples cost a look-up instead of a multiplication.
class Blend {
 public:
  explicit Blend(float factor) {
    for (std::size_t i = 0; i < products_.size(); ++i) {
      products_[i] = factor * (static_cast<float>(i) - kOffset);
    }
  }

  std::uint8_t operator()(std::uint8_t dull, std::uint8_t sample) const {
    const float product = products_[static_cast<std::size_t>(sample - dull + kOffset)];
    const float mixed = static_cast<float>(dull) + product;
    return static_cast<std::uint8_t>(mixed <= 0 ? 0 : (mixed >= 255 ? 255 : mixed));
  }

 private:
  static constexpr int kOffset = 255;  // the table's place of the difference 0

  std::array<float, 2 * kOffset + 1> products_{};
};

}  // namespace slotcon::data::detail
