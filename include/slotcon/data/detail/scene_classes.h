// What the nine classes of the procedural scenes look like: outline, texture and hue.
#pragma once

#include <slotcon/data/detail/fixed_point.h>
#include <slotcon/data/detail/value_noise.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

enum class SceneClass : std::uint8_t {
  kSky,
  kGrass,
  kWater,
  kDisc,
  kBox,
  kTriangle,
  kStar,
  kCross,
  kEllipse
};

/// Sky, grass and water fill regions; the classes from the disc on are things with an outline.
constexpr int kFirstThing = static_cast<int>(SceneClass::kDisc);
constexpr int kThingClasses = 6;

/// The centre of the hues of a class, in turns. The centres collide in pairs (disc and box;
/// triangle, star and grass; cross, ellipse, sky and water), so that colour alone cannot tell the
/// classes apart.
inline Fixed central_hue(SceneClass scene_class) {
  constexpr double kHues[] = {.58, .30, .55, .02, .06, .33, .28, .62, .56};
  return fixed(kHues[static_cast<std::size_t>(scene_class)]);
}

constexpr bool has_upright_outline(SceneClass scene_class) {
  return scene_class == SceneClass::kTriangle || scene_class == SceneClass::kCross;
}

/// Five petals: radius < .62 + .36 cos(5 angle).
inline bool inside_star(Fixed x, Fixed y) {
  const Fixed radius = hypotenuse(x, y);
  if (radius < fixed(.26)) return true;
  if (radius >= fixed(.98)) return false;
  const Fixed c = divide(x, radius), c2 = multiply(c, c);
  const Fixed cos5 = multiply(c, 5 * kOne + multiply(c2, 16 * c2 - 20 * kOne));
  return radius < fixed(.62) + multiply(fixed(.36), cos5);
}

/// Whether a thing covers the point (x right, y up), in units of its radius from its centre. No
/// outline reaches further than 1.2 along an axis of its own.
inline bool inside_outline(SceneClass scene_class, Fixed x, Fixed y) {
  const Fixed ax = x < 0 ? -x : x, ay = y < 0 ? -y : y;
  switch (scene_class) {
    case SceneClass::kDisc:
      return hypotenuse(x, y) < fixed(.9);
    case SceneClass::kBox:
      return ax < fixed(.8) && ay < fixed(.8);
    case SceneClass::kTriangle:
      return y > fixed(-.6) && y < kOne - multiply(fixed(1.85), ax);
    case SceneClass::kStar:
      return inside_star(x, y);
    case SceneClass::kCross:
      return (ax < fixed(.34) && ay < kOne) || (ay < fixed(.34) && ax < kOne);
    case SceneClass::kEllipse:
      return hypotenuse(multiply(x, fixed(1 / 1.05)), multiply(y, fixed(1 / .6))) < kOne;
    default:
      return false;
  }
}

inline Fixed grass_fibres(Fixed u, Fixed v, std::uint32_t key) {
  const Fixed noise = value_noise(multiply(u, fixed(1 / 1.7)), multiply(v, fixed(1 / 6.5)), key);
  return clamp(kOne / 2 + 3 * (noise - kOne / 2) / 2, 0, kOne);
}

inline Fixed water_ripples(Fixed u, Fixed v, std::uint32_t key) {
  const Fixed drift = value_noise(multiply(u, fixed(1. / 14)), multiply(v, fixed(1. / 9)), key);
  const Fixed phase = multiply(v, fixed(1 / 5.5)) + multiply(fixed(1.1), drift);
  return (kOne + sine(phase)) / 2;
}

inline bool on_dot(Fixed u, Fixed v) {
  const Fixed a = fraction_of(multiply(u, fixed(1. / 7))) - kOne / 2;
  const Fixed b = fraction_of(multiply(v, fixed(1. / 7))) - kOne / 2;
  return multiply(a, a) + multiply(b, b) < fixed(.085);
}

inline bool on_brick(Fixed u, Fixed v) {
  const Fixed course = multiply(v, fixed(1. / 5));
  const Fixed shift = floor_of(course) % 2 != 0 ? kOne / 2 : 0;
  const Fixed along = fraction_of(multiply(u, fixed(1. / 9)) + shift);
  return fraction_of(course) >= fixed(.25) && along >= fixed(.16);
}

/// The share of the first of the two tones at the point (u right, v down), in pixels; in [0, 1].
inline Fixed texture(SceneClass scene_class, Fixed u, Fixed v, std::uint32_t key) {
  const auto either = [](bool first) { return first ? kOne : Fixed{0}; };
  switch (scene_class) {
    case SceneClass::kSky:
      return kOne / 4 +
             fractal_noise(multiply(u, fixed(1. / 26)), multiply(v, fixed(1. / 13)), key) / 2;
    case SceneClass::kGrass:
      return grass_fibres(u, v, key);
    case SceneClass::kWater:
      return water_ripples(u, v, key);
    case SceneClass::kDisc:  // rings
      return either(fraction_of(multiply(hypotenuse(u, v), fixed(1 / 6.5))) < kOne / 2);
    case SceneClass::kBox: {  // checkers
      constexpr Fixed kCells = fixed(1 / 4.5);
      return either((floor_of(multiply(u, kCells)) + floor_of(multiply(v, kCells))) % 2 != 0);
    }
    case SceneClass::kTriangle:  // stripes
      return either(fraction_of(multiply(u, fixed(1. / 6))) < kOne / 2);
    case SceneClass::kStar:
      return either(on_dot(u, v));
    case SceneClass::kCross:
      return either(on_brick(u, v));
    case SceneClass::kEllipse: {  // speckle
      constexpr Fixed kGrains = fixed(1 / 1.6);
      const Fixed column = floor_of(multiply(u, kGrains)), row = floor_of(multiply(v, kGrains));
      return either(lattice_noise(column, row, key) > kOne / 2);
    }
  }
  return 0;
}

}  // namespace slotcon::data::detail
