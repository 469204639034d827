// Colours for numbers: a heat scale, and a palette for the ids of classes and clusters.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace slotcon::view {

/// Red, green, blue; 0 to 255.
using Color = std::array<std::uint8_t, 3>;

constexpr Color kBlack{0, 0, 0};
constexpr Color kWhite{255, 255, 255};
constexpr Color kRed{255, 0, 0};

/// As CSS and SVG write it: "#ff0000".
inline std::string hex_color(const Color& color) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "#";
  for (const auto channel : color) {
    text += kDigits[channel >> 4];
    text += kDigits[channel & 15];
  }
  return text;
}

/// The colour of `value` on a scale from cold to hot.
///
/// Blue at 0, cyan at 1/4, green at 1/2, yellow at 3/4, red at 1, linear between them. Values
/// outside [0,1] take the colour of the nearer end, NaN that of 0.
inline Color heat_color(double value) {
  const double step = 4.0 * std::min(1.0, std::max(0.0, value));
  const auto channel = [](double share) {
    return static_cast<std::uint8_t>(std::lround(255.0 * std::clamp(share, 0.0, 1.0)));
  };
  return {channel(step - 2.0), channel(std::min(step, 4.0 - step)), channel(2.0 - step)};
}

namespace detail {

/// Lightness, green-red and blue-yellow, in which distances are nearly those that the eye sees.
using Oklab = std::array<double, 3>;

inline double linear_light(std::uint8_t channel) {
  const double share = channel / 255.0;
  return share <= 0.04045 ? share / 12.92 : std::pow((share + 0.055) / 1.055, 2.4);
}

/// Source: B. Ottosson, "A perceptual color space for image processing", 2020.
inline Oklab oklab(const Color& color) {
  const double red = linear_light(color[0]);
  const double green = linear_light(color[1]);
  const double blue = linear_light(color[2]);
  const double l = std::cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
  const double m = std::cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
  const double s = std::cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
  return {0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
          1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
          0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

inline double squared_distance(const Oklab& a, const Oklab& b) {
  const double lightness = a[0] - b[0];
  const double green_red = a[1] - b[1];
  const double blue_yellow = a[2] - b[2];
  return lightness * lightness + green_red * green_red + blue_yellow * blue_yellow;
}

/// The colours of a 9 x 9 x 9 grid, without those too dark to tell apart on a screen.
inline std::vector<Color> palette_candidates() {
  constexpr int kLevels = 9;
  constexpr double kLeastLightness = 0.35;
  const auto level = [](int i) {
    return static_cast<std::uint8_t>(std::lround(i * 255.0 / (kLevels - 1)));
  };
  std::vector<Color> candidates;
  for (int red = 0; red < kLevels; ++red) {
    for (int green = 0; green < kLevels; ++green) {
      for (int blue = 0; blue < kLevels; ++blue) {
        const Color color{level(red), level(green), level(blue)};
        if (oklab(color)[0] >= kLeastLightness) candidates.push_back(color);
      }
    }
  }
  return candidates;
}

/// Each colour is the candidate farthest from black, white and all colours before it.
inline std::vector<Color> make_palette(std::size_t size) {
  const std::vector<Color> candidates = palette_candidates();
  std::vector<Oklab> places;
  for (const Color& candidate : candidates) places.push_back(oklab(candidate));
  std::vector<double> distance(candidates.size(), std::numeric_limits<double>::infinity());
  const auto keep_away_from = [&](const Oklab& place) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      distance[i] = std::min(distance[i], squared_distance(places[i], place));
    }
  };
  keep_away_from(oklab(kBlack));
  keep_away_from(oklab(kWhite));
  std::vector<Color> palette;
  while (palette.size() < size) {
    const auto farthest = static_cast<std::size_t>(
        std::max_element(distance.begin(), distance.end()) - distance.begin());
    palette.push_back(candidates[farthest]);
    keep_away_from(places[farthest]);
  }
  return palette;
}

}  // namespace detail

/// Colours of `palette_color` until they repeat.
constexpr std::size_t kPaletteSize = 256;

/// The colour of class or cluster `index`; the same in every program.
///
/// Each colour is as far as possible, to the eye, from black, white and the colours before it, so
/// the first few differ most. Colours repeat after kPaletteSize.
inline Color palette_color(std::size_t index) {
  static const std::vector<Color> palette = detail::make_palette(kPaletteSize);
  return palette[index % kPaletteSize];
}

}  // namespace slotcon::view
