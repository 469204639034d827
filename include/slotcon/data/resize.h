// Changes the size of images and label maps.
#pragma once

#include <slotcon/data/crop.h>
#include <slotcon/data/detail/resample.h>
#include <slotcon/data/image.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace slotcon::data {

/// How resize() weighs the pixels around a place. Both kernels grow with the reduction, so that a
/// smaller image is free of aliasing.
enum class Filter {
  kBilinear,  ///< a triangle that reaches one pixel to each side
  kBicubic    ///< cubic convolution (a = -0.5) that reaches two pixels to each side
};

namespace detail {

/// A rectangle of an image that stays where it is: rows lie `stride` bytes apart.
struct PixelRows {
  const std::uint8_t* pixels;
  std::size_t stride;
  int height;
  int width;
};

inline PixelRows rows_of(const Image& image) {
  return {image.pixels.data(), 3 * static_cast<std::size_t>(image.width), image.height,
          image.width};
}

inline Image resample_width(const PixelRows& input, int width, const ResampleKernel& kernel) {
  const ResampleWeights plan = resample_weights(input.width, width, kernel);
  Image result(input.height, width);
  run_vectorised<ResampleColumns>(input.pixels, input.stride, input.width, input.height, &plan,
                                  result.pixels.data());
  return result;
}

inline Image resample_height(const PixelRows& input, int height, const ResampleKernel& kernel) {
  const ResampleWeights plan = resample_weights(input.height, height, kernel);
  Image result(height, input.width);
  run_vectorised<ResampleRows>(input.pixels, input.stride,
                               3 * static_cast<std::size_t>(input.width), &plan,
                               result.pixels.data());
  return result;
}

}  // namespace detail

/// The part `crop` of the image, resized to height x width: cut first, so that no pixel outside of
/// the crop matters.
///
/// Bit-equal to `image.crop(box).resize((width, height), filter)` of Pillow 13: one axis after the
/// other, rounded to 8 bits in between, with weights of 22 fractional bits. The width comes first
/// unless the height shrinks by more than twice what the width does; Pillow before that rule always
/// took the width first, which differs from it in the last bit here and there.
///
/// Throws std::invalid_argument if the crop leaves the image or the new size is not positive.
inline Image crop_and_resize(const Image& image, const Crop& crop, int height, int width,
                             Filter filter) {
  detail::check_crop("crop_and_resize", crop, image.height, image.width);
  detail::checked_area("crop_and_resize", height, width);
  const detail::ResampleKernel kernel = filter == Filter::kBicubic
                                            ? detail::ResampleKernel{2.0, detail::bicubic_weight}
                                            : detail::ResampleKernel{1.0, detail::bilinear_weight};
  const detail::PixelRows input = {image.at(crop.top, crop.left),
                                   3 * static_cast<std::size_t>(image.width), crop.height,
                                   crop.width};
  const int shrinks = crop.height - height;
  if (shrinks > 0 && shrinks > 2 * (crop.width - width)) {
    const Image flat = detail::resample_height(input, height, kernel);
    return detail::resample_width(detail::rows_of(flat), width, kernel);
  }
  const Image narrow = detail::resample_width(input, width, kernel);
  return detail::resample_height(detail::rows_of(narrow), height, kernel);
}

/// The whole image resized to height x width; bit-equal to Pillow's `image.resize`.
inline Image resize(const Image& image, int height, int width, Filter filter) {
  return crop_and_resize(image, {0, 0, image.height, image.width}, height, width, filter);
}

/// Resized to height x width by taking the nearest pixel, so that labels stay labels.
inline LabelMap resize_nearest(const LabelMap& map, int height, int width) {
  LabelMap result(height, width);
  const auto nearest = [](int output, int inputs, int outputs) {
    return static_cast<int>((2 * std::int64_t{output} + 1) * inputs / (2 * std::int64_t{outputs}));
  };
  for (int y = 0; y < height; ++y) {
    const int row = nearest(y, map.height, height);
    for (int x = 0; x < width; ++x) result.at(y, x) = map.at(row, nearest(x, map.width, width));
  }
  return result;
}

/// Height and width of an image after its shorter side has become `side`; the longer one is
/// truncated to whole pixels, as torchvision's `Resize(side)` does.
inline std::pair<int, int> shorter_side_size(int height, int width, int side) {
  const auto longer = [side](int length, int shorter) {
    return static_cast<int>(std::int64_t{side} * length / shorter);
  };
  return height <= width ? std::pair(side, longer(width, height))
                         : std::pair(longer(height, width), side);
}

/// The part `crop` of the image. Throws std::invalid_argument if it leaves the image.
inline Image cut(const Image& image, const Crop& crop) {
  detail::check_crop("cut", crop, image.height, image.width);
  Image result(crop.height, crop.width);
  for (int y = 0; y < crop.height; ++y) {
    std::copy_n(image.at(crop.top + y, crop.left), 3 * static_cast<std::size_t>(crop.width),
                result.at(y, 0));
  }
  return result;
}

/// The part `crop` of the map. Throws std::invalid_argument if it leaves the map.
inline LabelMap cut(const LabelMap& map, const Crop& crop) {
  detail::check_crop("cut", crop, map.height, map.width);
  LabelMap result(crop.height, crop.width);
  for (int y = 0; y < crop.height; ++y) {
    for (int x = 0; x < crop.width; ++x) {
      result.at(y, x) = map.at(crop.top + y, crop.left + x);
    }
  }
  return result;
}

/// The height x width pixels in the middle of an image or label map; where the margins cannot be
/// equal, the offset is rounded half to even, as torchvision's `CenterCrop` does. Throws
/// std::invalid_argument if the crop is larger than the picture.
template <class Picture>
Picture center_crop(const Picture& picture, int height, int width) {
  const auto margin = [](int outer, int inner) {
    return static_cast<int>(std::nearbyint((outer - inner) / 2.0));
  };
  return cut(picture,
             {margin(picture.height, height), margin(picture.width, width), height, width});
}

/// Mirrors the image left to right in place.
inline void flip_horizontal(Image& image) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* left = image.at(y, 0);
    std::uint8_t* right = image.at(y, image.width - 1);
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

}  // namespace slotcon::data
