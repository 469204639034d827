// How a procedural scene is painted: colours, regions, things, and the light over all of it.
#pragma once

#include <slotcon/data/detail/fixed_point.h>
#include <slotcon/data/detail/scene_classes.h>
#include <slotcon/data/detail/value_noise.h>
#include <slotcon/data/image.h>
#include <slotcon/data/random.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace slotcon::data::detail {

using Colour = std::array<Fixed, 3>;

inline Fixed draw(Random& random, double low, double high) {
  return fixed(random.uniform(low, high));
}
inline std::uint32_t draw_key(Random& random) { return static_cast<std::uint32_t>(random.bits()); }

/// The hue is in turns and wraps; saturation and value are in [0, 1].
inline Colour hsv_colour(Fixed hue, Fixed saturation, Fixed value) {
  const Fixed position = 6 * fraction_of(hue);
  const Fixed part = fraction_of(position);
  const Fixed low = multiply(value, kOne - saturation);
  const Fixed falling = multiply(value, kOne - multiply(saturation, part));
  const Fixed rising = multiply(value, kOne - multiply(saturation, kOne - part));
  switch (floor_of(position)) {
    case 0:
      return {value, rising, low};
    case 1:
      return {falling, value, low};
    case 2:
      return {low, value, rising};
    case 3:
      return {low, falling, value};
    case 4:
      return {rising, low, value};
    default:
      return {value, low, falling};
  }
}

/// The two tones of one region or thing, and the key of its texture.
struct Paint {
  SceneClass scene_class;
  Colour first, second;
  std::uint32_t key;
};

/// Things get two tones far apart, regions two tones close together, and chance decides which of
/// the two comes first: within an object the colours differ more than between the classes.
inline Paint draw_paint(SceneClass scene_class, Random& random) {
  const bool thing = static_cast<int>(scene_class) >= kFirstThing;
  Paint paint{scene_class, {}, {}, 0};
  const Fixed hue = central_hue(scene_class) + draw(random, -.13, .13);
  const Fixed saturation = draw(random, .25, .8);
  const Fixed value = draw(random, .55, .95);
  const Fixed hue_change = thing ? draw(random, -.22, .22) : draw(random, -.05, .05);
  const Fixed other_saturation =
      thing ? draw(random, .1, .7) : multiply(saturation, draw(random, .6, 1.));
  const Fixed other_value = multiply(value, thing ? draw(random, .25, .55) : draw(random, .45, .7));
  paint.first = hsv_colour(hue, saturation, value);
  paint.second = hsv_colour(hue + hue_change, other_saturation, other_value);
  if (random.chance(.5)) std::swap(paint.first, paint.second);
  paint.key = draw_key(random);
  return paint;
}

/// A square scene in the making: linear colours, not yet lit, and the label of every pixel.
class SceneCanvas {
 public:
  explicit SceneCanvas(int size)
      : size_(size), labels_(size, size), colours_(3 * labels_.labels.size()) {}

  int size() const { return size_; }
  LabelMap& labels() { return labels_; }

  /// Paints one pixel; (u, v) is its place in the texture, and `shade` scales the colour.
  void put(int y, int x, const Paint& paint, Fixed u, Fixed v, Fixed shade) {
    const Fixed share = texture(paint.scene_class, u, v, paint.key);
    std::int32_t* colour = &colours_[offset(y, x)];
    for (std::size_t c = 0; c < 3; ++c) {
      const Fixed tone = blend(paint.second[c], paint.first[c], share);
      colour[c] = static_cast<std::int32_t>(multiply(tone, shade));
    }
    labels_.at(y, x) = static_cast<std::uint8_t>(paint.scene_class);
  }

  const std::int32_t* colours(int y) const { return &colours_[offset(y, 0)]; }

 private:
  std::size_t offset(int y, int x) const {
    return 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(size_) +
                static_cast<std::size_t>(x));
  }

  int size_;
  LabelMap labels_;
  std::vector<std::int32_t> colours_;  // three a pixel, times 65536
};

/// Sky above a tilted, wavy horizon, and grass or water below it.
inline void paint_regions(SceneCanvas& canvas, Random& random) {
  const int size = canvas.size();
  const Fixed height = size * draw(random, .3, .6);
  const Fixed tilt = draw(random, -.25, .25);
  const std::uint32_t wave_key = draw_key(random);
  const SceneClass ground = random.below(2) == 0 ? SceneClass::kGrass : SceneClass::kWater;
  const Fixed scale = draw(random, .85, 1.2);
  const Paint above = draw_paint(SceneClass::kSky, random);
  const Paint below = draw_paint(ground, random);
  for (int x = 0; x < size; ++x) {
    const Fixed wave = 2 * value_noise(x * fixed(1. / 22), 0, wave_key) - kOne;
    const Fixed horizon = height + (2 * x - size) * tilt / 2 + size * wave / 10;
    for (int y = 0; y < size; ++y) {
      canvas.put(y, x, y * kOne < horizon ? above : below, x * scale, y * scale, kOne);
    }
  }
}

/// Where a thing lies: its centre and radius in pixels, its angle, and how coarse its texture is.
struct Placement {
  Fixed centre_x, centre_y, radius;
  Fixed cosine, sine;
  Fixed texture_scale;
};

inline Placement draw_placement(SceneClass scene_class, int size, Random& random) {
  Placement place{};
  place.radius = size * draw(random, .2, .34);
  // Dividing by a power of two is exact, and so are the ends of the range.
  const double margin = static_cast<double>(multiply(fixed(.6), place.radius)) / kOne;
  place.centre_x = draw(random, margin, size - margin);
  place.centre_y = draw(random, margin, size - margin);
  constexpr double kTilt = .6 / 6.283185307179586;  // .6 radians
  const Fixed angle =
      has_upright_outline(scene_class) ? draw(random, -kTilt, kTilt) : draw(random, 0, 1);
  place.cosine = cosine(angle);
  place.sine = sine(angle);
  place.texture_scale = draw(random, .8, 1.25);
  return place;
}

/// One thing of a random class, over what is there already.
inline void paint_thing(SceneCanvas& canvas, Random& random) {
  const auto scene_class = static_cast<SceneClass>(kFirstThing + random.below(kThingClasses));
  const Placement place = draw_placement(scene_class, canvas.size(), random);
  const Paint paint = draw_paint(scene_class, random);
  const Fixed shade_x = draw(random, -.25, .25);
  const Fixed shade_y = draw(random, -.25, .25);
  const Fixed per_radius = divide(kOne, place.radius);
  const Fixed finer = divide(kOne, place.texture_scale);
  // The corner of an outline is never further from the centre than 1.2 radii.
  const Fixed reach = multiply(fixed(1.2), place.radius);
  const auto first = [](Fixed low) { return static_cast<int>(std::max<Fixed>(floor_of(low), 0)); };
  const auto last = [&](Fixed high) {
    return static_cast<int>(std::min<Fixed>(floor_of(high) + 1, canvas.size() - 1));
  };
  for (int y = first(place.centre_y - reach); y <= last(place.centre_y + reach); ++y) {
    for (int x = first(place.centre_x - reach); x <= last(place.centre_x + reach); ++x) {
      const Fixed dx = x * kOne - place.centre_x, dy = y * kOne - place.centre_y;
      const Fixed u = multiply(place.cosine, dx) + multiply(place.sine, dy);
      const Fixed v = multiply(place.cosine, dy) - multiply(place.sine, dx);
      const Fixed across = multiply(u, per_radius), down = multiply(v, per_radius);
      if (!inside_outline(scene_class, across, -down)) continue;
      const Fixed shade = kOne + multiply(shade_x, across) + multiply(shade_y, down);
      canvas.put(y, x, paint, multiply(u, finer), multiply(v, finer),
                 clamp(shade, kOne / 2, 3 * kOne / 2));
    }
  }
}

/// The finished picture: a colour cast and gain, light that falls off to one side, and pixel noise.
inline Image light(const SceneCanvas& canvas, Random& random) {
  const int size = canvas.size();
  Colour gain{};
  for (Fixed& channel : gain) channel = draw(random, .72, 1.28);
  const Fixed exposure = draw(random, .75, 1.2);
  for (Fixed& channel : gain) channel = multiply(channel, exposure);
  const Fixed slope_x = draw(random, -.3, .3) / size;
  const Fixed slope_y = draw(random, -.3, .3) / size;
  const std::uint32_t key = draw_key(random);
  Image image(size, size);
  for (int y = 0; y < size; ++y) {
    const std::int32_t* colours = canvas.colours(y);
    std::uint8_t* pixels = image.at(y, 0);
    for (int x = 0; x < size; ++x) {
      const Fixed lit = kOne + slope_x * (x - size / 2) + slope_y * (y - size / 2);
      for (std::uint32_t c = 0; c < 3; ++c) {
        const Fixed noise = lattice_noise(x, y, key + c) + lattice_noise(x, y, key + c + 7) - kOne;
        const Fixed value = multiply(multiply(*colours++, gain[c]), lit) + noise / 20;
        *pixels++ = static_cast<std::uint8_t>(floor_of(clamp(value, 0, kOne) * 255 + kOne / 2));
      }
    }
  }
  return image;
}

}  // namespace slotcon::data::detail
