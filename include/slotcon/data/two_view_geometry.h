// Which parts of an image its two views show, and what they share.
#pragma once

#include <slotcon/data/crop.h>
#include <slotcon/data/random.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace slotcon::data {

/// A rectangle in fractions of a view: x from left to right, y from top to bottom. x2 <= x1 or
/// y2 <= y1 means that it is empty.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 1;
  float y2 = 1;
};

inline bool operator==(const Box& a, const Box& b) {
  return a.x1 == b.x1 && a.y1 == b.y1 && a.x2 == b.x2 && a.y2 == b.y2;
}
inline bool operator!=(const Box& a, const Box& b) { return !(a == b); }

namespace detail {

constexpr int kCropTries = 10;
constexpr double kLeastAspect = 3.0 / 4.0;     // width / height
constexpr double kGreatestAspect = 4.0 / 3.0;  // width / height
constexpr double kLeastOverlap = 0.01;         // of the area that was asked for

inline double overlap_area(const Crop& a, const Crop& b) {
  const int width = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left);
  const int height = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? static_cast<double>(width) * height : 0.0;
}

/// One try: a crop of `area` pixels, if a shape drawn for it fits into the image.
inline std::optional<Crop> try_crop(int height, int width, double area, Random& random) {
  const double aspect = std::exp(random.uniform(std::log(kLeastAspect), std::log(kGreatestAspect)));
  const double crop_width = std::nearbyint(std::sqrt(area * aspect));  // halves go to even
  const double crop_height = std::nearbyint(std::sqrt(area / aspect));
  if (crop_width < 1 || crop_width > width || crop_height < 1 || crop_height > height) return {};
  Crop crop;
  crop.height = static_cast<int>(crop_height);
  crop.width = static_cast<int>(crop_width);
  crop.top = random.integer(0, height - crop.height);
  crop.left = random.integer(0, width - crop.width);
  return crop;
}

/// The largest crop in the middle of the image whose aspect is allowed.
inline Crop middle_crop(int height, int width) {
  const double aspect = static_cast<double>(width) / height;
  Crop crop{0, 0, height, width};
  if (aspect < kLeastAspect) {
    crop.height = static_cast<int>(std::nearbyint(width / kLeastAspect));
  } else if (aspect > kGreatestAspect) {
    crop.width = static_cast<int>(std::nearbyint(height * kGreatestAspect));
  }
  crop.top = (height - crop.height) / 2;
  crop.left = (width - crop.width) / 2;
  return crop;
}

}  // namespace detail

/// A random crop of an image of height x width pixels.
///
/// Its area is uniform in [min_scale, 1] of the image's, the logarithm of its aspect uniform
/// between those of 3/4 and 4/3, its place uniform. After ten tries that do not fit into the image,
/// the largest allowed crop in the middle. Source: the RandomResizedCrop of torchvision.
inline Crop random_crop(int height, int width, double min_scale, Random& random) {
  for (int attempt = 0; attempt < detail::kCropTries; ++attempt) {
    const double area = random.uniform(min_scale, 1.0) * height * width;
    if (const auto crop = detail::try_crop(height, width, area, random)) return *crop;
  }
  return detail::middle_crop(height, width);
}

/// A random crop that shares at least 1 % of its intended area with `first`.
///
/// After ten tries, a random_crop() without that condition, which may share nothing with `first`:
/// practically never for ordinary photographs, but for a third of the pairs of a 10 : 1 panorama.
inline Crop random_overlapping_crop(int height, int width, double min_scale, const Crop& first,
                                    Random& random) {
  for (int attempt = 0; attempt < detail::kCropTries; ++attempt) {
    const double area = random.uniform(min_scale, 1.0) * height * width;
    const auto crop = detail::try_crop(height, width, area, random);
    if (crop && detail::overlap_area(*crop, first) >= detail::kLeastOverlap * area) return *crop;
  }
  return random_crop(height, width, min_scale, random);
}

/// The region that two crops of one image share, in fractions of each crop. Of disjoint crops the
/// boxes are empty, x2 < x1 or y2 < y1, and may lie outside of 0 ... 1.
inline std::array<Box, 2> overlap_boxes(const Crop& first, const Crop& second) {
  const int x1 = std::max(first.left, second.left);
  const int y1 = std::max(first.top, second.top);
  const int x2 = std::min(first.left + first.width, second.left + second.width);
  const int y2 = std::min(first.top + first.height, second.top + second.height);
  const auto within = [&](const Crop& crop) {
    const auto fraction = [](int place, int start, int length) {
      return static_cast<float>(static_cast<double>(place - start) / length);
    };
    return Box{fraction(x1, crop.left, crop.width), fraction(y1, crop.top, crop.height),
               fraction(x2, crop.left, crop.width), fraction(y2, crop.top, crop.height)};
  };
  return {within(first), within(second)};
}

/// The same region after the view has been mirrored left to right.
inline Box flip(const Box& box) { return {1 - box.x2, box.y1, 1 - box.x1, box.y2}; }

}  // namespace slotcon::data
