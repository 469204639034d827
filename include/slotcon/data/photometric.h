// Changes the colours and the sharpness of images, in place, with the results of Pillow.
#pragma once

#include <slotcon/data/detail/blend.h>
#include <slotcon/data/detail/box_blur.h>
#include <slotcon/data/detail/hue.h>
#include <slotcon/data/detail/luma.h>
#include <slotcon/data/detail/vector_target.h>
#include <slotcon/data/image.h>
#include <slotcon/data/random.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data {

namespace detail {

/// Calls `Change`, which takes pixels, their number and the arguments.
template <class Change, class... Arguments>
void change_pixels(Image& image, Arguments... arguments) {
  run_vectorised<Change>(image.pixels.data(), image.pixels.size() / 3, arguments...);
}

/// The same, for one that takes samples.
template <class Change, class... Arguments>
void change_samples(Image& image, Arguments... arguments) {
  run_vectorised<Change>(image.pixels.data(), image.pixels.size(), arguments...);
}

/// The mean luma, rounded half up.
inline int mean_luma(const Image& image) {
  const std::uint64_t count = image.pixels.size() / 3;
  if (count == 0) return 0;
  std::uint64_t sum = 0;
  run_vectorised<SumLuma>(image.pixels.data(), static_cast<std::size_t>(count), &sum);
  return static_cast<int>((2 * sum + count) / (2 * count));
}

/// Inverts samples of 128 and more.
struct Solarize {
  SLOTCON_VECTORISED static void run(std::uint8_t* samples, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      samples[i] = static_cast<std::uint8_t>(samples[i] < 128 ? samples[i] : 255 - samples[i]);
    }
  }
};

inline float checked_factor(const char* who, double factor) {
  if (factor >= 0 && std::isfinite(factor)) return static_cast<float>(factor);
  throw std::invalid_argument(std::string(who) + ": expected a finite factor of at least 0, got " +
                              std::to_string(factor));
}

}  // namespace detail

/// Blends the image with black: 0 is black, 1 leaves it as it is, more makes it brighter. Bit-equal
/// to Pillow's `ImageEnhance.Brightness`. Throws std::invalid_argument if the factor is negative.
inline void adjust_brightness(Image& image, double factor) {
  detail::change_samples<detail::BlendSamples>(image, 0,
                                               detail::checked_factor("adjust_brightness", factor));
}

/// Blends the image with the gray of its mean luma: 0 is that gray, 1 leaves it as it is. Bit-equal
/// to Pillow's `ImageEnhance.Contrast`. Throws std::invalid_argument if the factor is negative.
inline void adjust_contrast(Image& image, double factor) {
  const float strength = detail::checked_factor("adjust_contrast", factor);
  detail::change_samples<detail::BlendSamples>(image, detail::mean_luma(image), strength);
}

/// Blends every pixel with its luma: 0 is a gray image, 1 leaves it as it is. Bit-equal to Pillow's
/// `ImageEnhance.Color`. Throws std::invalid_argument if the factor is negative.
inline void adjust_saturation(Image& image, double factor) {
  detail::change_pixels<detail::BlendWithLuma>(image,
                                               detail::checked_factor("adjust_saturation", factor));
}

/// Rotates the hue by `turns`, in -0.5 ... 0.5, through 8-bit HSV (256 hues; two conversions that
/// round, so that 0 turns is not exactly nothing). Bit-equal to torchvision's `adjust_hue` of a
/// Pillow image. Throws std::invalid_argument if turns is outside of its range.
inline void adjust_hue(Image& image, double turns) {
  if (!(turns >= -0.5 && turns <= 0.5)) {
    throw std::invalid_argument("adjust_hue: expected turns in -0.5 ... 0.5, got " +
                                std::to_string(turns));
  }
  const int shift = static_cast<int>(turns * 255);  // towards zero
  detail::change_pixels<detail::RotateHue>(image, shift);
}

/// Replaces every pixel by its luma in all three channels. Bit-equal to Pillow's
/// `convert("L").convert("RGB")`.
inline void grayscale(Image& image) { detail::change_pixels<detail::Grayscale>(image); }

/// Blurs with a Gaussian of standard deviation `sigma` pixels, approximated by three box filters
/// along each axis. Bit-equal to Pillow's `ImageFilter.GaussianBlur(sigma)`. Throws
/// std::invalid_argument unless sigma is in 0 ... 100.
inline void gaussian_blur(Image& image, double sigma) {
  if (!(sigma >= 0 && sigma <= 100)) {
    throw std::invalid_argument("gaussian_blur: expected a sigma in 0 ... 100, got " +
                                std::to_string(sigma));
  }
  if (sigma == 0 || image.pixels.empty()) return;
  detail::blur_with_boxes(image.pixels.data(), image.height, image.width,
                          detail::box_for_gaussian(static_cast<float>(sigma)));
}

/// Inverts the samples of 128 and more. Bit-equal to Pillow's `ImageOps.solarize`.
inline void solarize(Image& image) { detail::change_samples<detail::Solarize>(image); }

/// How strongly color_jitter() may change an image.
struct ColorJitter {
  double brightness =
      0.4;                ///< the factor is uniform in [1 - brightness, 1 + brightness], at least 0
  double contrast = 0.4;  ///< likewise
  double saturation = 0.2;  ///< likewise
  double hue = 0.1;         ///< the rotation is uniform in [-hue, hue] turns, at most 0.5
};

/// Changes brightness, contrast, saturation and hue by random amounts, in a random order; a
/// strength of 0 leaves its property alone. Source: torchvision's `ColorJitter`.
inline void color_jitter(Image& image, const ColorJitter& jitter, Random& random) {
  std::vector<int> order = {0, 1, 2, 3};
  random.shuffle(order);
  const auto factor = [&](double strength) {
    return random.uniform(std::max(0.0, 1.0 - strength), 1.0 + strength);
  };
  const double brightness = factor(jitter.brightness);
  const double contrast = factor(jitter.contrast);
  const double saturation = factor(jitter.saturation);
  const double turns = random.uniform(-jitter.hue, jitter.hue);
  for (const int property : order) {
    if (property == 0 && jitter.brightness > 0) adjust_brightness(image, brightness);
    if (property == 1 && jitter.contrast > 0) adjust_contrast(image, contrast);
    if (property == 2 && jitter.saturation > 0) adjust_saturation(image, saturation);
    if (property == 3 && jitter.hue > 0) adjust_hue(image, turns);
  }
}

}  // namespace slotcon::data
