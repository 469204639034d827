// Rotates the hue of pixels through 8-bit HSV, as Pillow converts it.
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

/// RGB to HSV; a turn of hue counts 255, and everything is truncated. Of the gray pixels, whose hue
/// is arbitrary, only the saturation 0 and the value mean something.
SLOTCON_VECTORISED ColourTriple rgb_to_hsv(int red, int green, int blue) {
  const int greatest = std::max(red, std::max(green, blue));
  const int least = std::min(red, std::min(green, blue));
  const int middle = red + green + blue - greatest - least;
  const float range = static_cast<float>(std::max(greatest - least, 1));
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
  const double turns = static_cast<double>(sixths) / 6.0 + 1.0;
  const float hue = static_cast<float>(turns - static_cast<int>(turns));
  const float saturation =
      static_cast<float>(greatest - least) / static_cast<float>(std::max(greatest, 1));
  return {static_cast<int>(static_cast<double>(hue) * 255.0),
          static_cast<int>(static_cast<double>(saturation) * 255.0), greatest};
}

/// HSV back to RGB, rounded.
SLOTCON_VECTORISED ColourTriple hsv_to_rgb(int hue, int saturation, int value) {
  const double sixths = static_cast<double>(hue) * 6.0 / 255.0;
  const int border = static_cast<int>(sixths);
  const int sector = border - 6 * (border == 6);
  const double part = static_cast<float>(sixths - border);
  const double strength = static_cast<float>(saturation / 255.0);
  const auto scaled = [value](double share) { return static_cast<int>(value * share + 0.5); };
  const int least = scaled(1.0 - strength);
  const int falling = sector & 1;
  const double distance = (1 - falling) + (2 * falling - 1) * part;
  const int middle = scaled(1.0 - strength * distance);
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
  static constexpr std::size_t kBlock = 64;

  SLOTCON_VECTORISED static void run(std::uint8_t* pixels, std::size_t count, int shift) {
    for (std::size_t start = 0; start < count; start += kBlock) {
      rotate(pixels + 3 * start, std::min(kBlock, count - start), shift);
    }
  }

 private:
  /// Goes through arrays of one channel each, which compilers turn into vector code.
  SLOTCON_VECTORISED static void rotate(std::uint8_t* pixels, std::size_t count, int shift) {
    int red[kBlock] = {}, green[kBlock] = {}, blue[kBlock] = {};
    for (std::size_t i = 0; i < count; ++i) {
      red[i] = pixels[3 * i];
      green[i] = pixels[3 * i + 1];
      blue[i] = pixels[3 * i + 2];
    }
    for (std::size_t i = 0; i < kBlock; ++i) {
      const ColourTriple hsv = rgb_to_hsv(red[i], green[i], blue[i]);
      const ColourTriple rgb = hsv_to_rgb((hsv.first + shift) & 255, hsv.second, hsv.third);
      red[i] = rgb.first;
      green[i] = rgb.second;
      blue[i] = rgb.third;
    }
    for (std::size_t i = 0; i < count; ++i) {
      pixels[3 * i] = static_cast<std::uint8_t>(red[i]);
      pixels[3 * i + 1] = static_cast<std::uint8_t>(green[i]);
      pixels[3 * i + 2] = static_cast<std::uint8_t>(blue[i]);
    }
  }
};

}  // namespace slotcon::data::detail
