// Rotates the hue of pixels through 8-bit HSV, as Pillow converts it.
#pragma once

#include <slotcon/data/detail/pixel_block.h>
#include <slotcon/data/detail/vector_target.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

/// RGB to HSV; a turn of hue counts 255, and everything is truncated. Of the gray pixels, whose hue
/// is arbitrary, only the saturation 0 and the value mean something.
SLOTCON_VECTORISED ColourTriple rgb_to_hsv(int red, int green, int blue) {
  const int greatest = std::max(red, std::max(green, blue));
  const int least = std::min(red, std::min(green, blue));
  const int middle = red + green + blue - greatest - least;
  const int spread = greatest - least;
  const float range = static_cast<float>(spread + (spread == 0));
  // Sixths of a turn: `edge`, a sector's border, plus or minus the share of the middle channel.
  const float share = static_cast<float>(greatest - middle) / range;
  const int red_first = red == greatest;
  const int green_first = (1 - red_first) * (green == greatest);
  const int blue_first = 1 - red_first - green_first;
  const int blue_last = blue == least, green_last = green == least;
  const int edge = red_first * (2 * blue_last - 1) + green_first * (3 - 2 * blue_last) +
                   blue_first * (3 + 2 * green_last);
  const int direction =
      (red_first - green_first) * (1 - 2 * blue_last) + blue_first * (1 - 2 * green_last);
  const float sixths = static_cast<float>(edge) + static_cast<float>(direction) * share;
  const double from_red = static_cast<double>(sixths) * (1.0 / 6.0);
  const double turns = from_red + 1.0;
  const float hue = static_cast<float>(turns - static_cast<int>(turns));
  const float saturation =
      static_cast<float>(spread) / static_cast<float>(greatest + (greatest == 0));
  return {static_cast<int>(static_cast<double>(hue) * 255.0), static_cast<int>(saturation * 255.0f),
          greatest};
}

/// a / b, truncated, for 0 <= a < 2^24 and a quotient below 2^8 and b < 2^16: correctly rounded, it
/// never reaches the next integer. Vector units divide no integers.
SLOTCON_VECTORISED int quotient(int a, int b) {
  return static_cast<int>(static_cast<float>(a) / static_cast<float>(b));
}

/// HSV back to RGB, rounded to the nearest. No result lies halfway between two: twice a numerator
/// is even, its denominator odd.
SLOTCON_VECTORISED ColourTriple hsv_to_rgb(int hue, int saturation, int value) {
  constexpr int kTurn = 255, kSixth = 85;  // a turn of hues; a sixth of it, in halves of a hue
  const int border = quotient(2 * hue, kSixth);
  const int part = 2 * hue - kSixth * border;
  const int sector = border - 6 * (border == 6);
  const int least = quotient(2 * value * (kTurn - saturation) + kTurn, 2 * kTurn);
  const int falling = sector & 1;
  const int distance = kSixth + falling * (2 * part - kSixth) - part;
  const int middle = quotient(2 * value * (kTurn * kSixth - saturation * distance) + kTurn * kSixth,
                              2 * kTurn * kSixth);
  const auto channel = [&](int middle_a, int middle_b, int least_a, int least_b) {
    const int is_middle = (sector == middle_a) | (sector == middle_b);
    const int is_least = (sector == least_a) | (sector == least_b);
    return value + is_middle * (middle - value) + is_least * (least - value);
  };
  const int red = channel(1, 4, 2, 3);
  const int green = channel(0, 3, 4, 5);
  const int blue = channel(2, 5, 0, 1);
  return {red, green, blue};
}

/// Adds `shift`, of which 256 wrap around, to the hue of `count` pixels.
struct RotateHue {
  SLOTCON_VECTORISED static void run(std::uint8_t* pixels, std::size_t count, int shift) {
    change_each_pixel(pixels, count, RotateHue{shift});
  }
  SLOTCON_VECTORISED ColourTriple operator()(int red, int green, int blue) const {
    const ColourTriple hsv = rgb_to_hsv(red, green, blue);
    return hsv_to_rgb((hsv.first + shift) & 255, hsv.second, hsv.third);
  }

  int shift;
};

}  // namespace slotcon::data::detail
