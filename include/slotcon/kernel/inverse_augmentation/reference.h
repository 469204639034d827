// Inverse augmentation as two small matrix products: bilinear sampling is separable, and so is a
// mirror.
#pragma once

#include <torch/types.h>

namespace slotcon::kernel::inverse_augmentation {

/// The weight of each input pixel [B,1,size] in samples taken at `position` [B,size,1] pixel
/// centres. Beyond half a pixel outside the map the border's value holds; further out than one
/// pixel it is 0.
inline torch::Tensor bilinear_weights(const torch::Tensor& position, std::int64_t size) {
  const auto pixel = at::arange(size, position.options()).view({1, 1, -1});
  const auto inside = (position >= -1) & (position <= size);
  return (1 - (position.clamp(0, size - 1) - pixel).abs()).clamp_min(0) * inside;
}

/// Where one axis of the output samples the input: weights [B,size (output), size (input)] for
/// regions from `first` to `last` [B], as fractions of the axis.
///
/// An output pixel averages ceil(extent / size) samples of its bin: 1 up to the full extent, 2
/// where rounding made the extent larger. A region without extent gives zeros. (RoIAlign with
/// aligned=true and the adaptive sampling ratio; the order of operations is its, for equal
/// rounding.)
inline torch::Tensor axis_weights(const torch::Tensor& first, const torch::Tensor& last,
                                  std::int64_t size) {
  const auto start = (first * size - 0.5).view({-1, 1, 1});
  const auto extent = (last * size - 0.5).view({-1, 1, 1}) - start;
  const auto bin = extent / size;
  const auto bin_start = start + at::arange(size, first.options()).view({1, -1, 1}) * bin;
  const auto sampled_at = [&](double fraction) {
    return bilinear_weights(bin_start + fraction * bin, size);
  };
  const auto weights =
      at::where(bin > 1, 0.5 * (sampled_at(0.25) + sampled_at(0.75)), sampled_at(0.5));
  return weights * (extent > 0);
}

/// Aligned maps [B,K,H,W] of maps [B,K,H,W], boxes [B,4] of the same float type, flipped [B] bool.
inline torch::Tensor reference(const torch::Tensor& maps, const torch::Tensor& boxes,
                               const torch::Tensor& flipped) {
  const auto channels = maps.size(1);
  const auto height = maps.size(2);
  const auto width = maps.size(3);
  const auto rows = axis_weights(boxes.select(1, 1), boxes.select(1, 3), height);
  auto columns = axis_weights(boxes.select(1, 0), boxes.select(1, 2), width);
  columns = at::where(flipped.view({-1, 1, 1}), columns.flip(1), columns);

  const auto along_width = at::bmm(maps.flatten(1, 2), columns.transpose(1, 2));
  const auto turned = along_width.view({-1, channels, height, width}).transpose(2, 3);
  const auto along_height = at::bmm(turned.flatten(1, 2), rows.transpose(1, 2));
  return along_height.view({-1, channels, width, height}).transpose(2, 3).contiguous();
}

}  // namespace slotcon::kernel::inverse_augmentation
