// The square in the middle of a picture, at a given resolution: what evaluation protocols look at.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/data/resize.h>

namespace slotcon::data {

/// The shorter side resized to `side` pixels, then the side x side pixels in the middle.
///
/// Images are resized with the bilinear filter, label maps by the nearest pixel; the longer side is
/// truncated to whole pixels and an odd margin rounded half to even, all as torchvision's
/// `Resize(side)` and `CenterCrop(side)` do with Pillow's images.
/// Throws std::invalid_argument unless `side` is positive.
inline Image centre_square(const Image& image, int side) {
  const auto [height, width] = shorter_side_size(image.height, image.width, side);
  return center_crop(resize(image, height, width, Filter::kBilinear), side, side);
}

inline LabelMap centre_square(const LabelMap& map, int side) {
  const auto [height, width] = shorter_side_size(map.height, map.width, side);
  return center_crop(resize_nearest(map, height, width), side, side);
}

}  // namespace slotcon::data
