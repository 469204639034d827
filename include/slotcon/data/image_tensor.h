// An image as the network takes it.
#pragma once

#include <slotcon/data/detail/normalisation.h>
#include <slotcon/data/image.h>
#include <torch/types.h>

namespace slotcon::data {

/// [3,H,W] float32, channels last in memory, normalised with the mean and standard deviation of
/// ImageNet.
inline torch::Tensor normalized_tensor(const Image& image) {
  const auto pixels = at::empty({image.height, image.width, 3}, at::kFloat);
  detail::normalise(image.pixels, pixels.mutable_data_ptr<float>());
  return pixels.permute({2, 0, 1});
}

}  // namespace slotcon::data
