// Inverse augmentation on the CPU as a sparse matrix: each output pixel mixes a few input pixels.
#pragma once

#include <slotcon/kernel/cpu/sampling.h>
#include <slotcon/kernel/cpu/turned_maps.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

namespace slotcon::kernel::inverse_augmentation {

/// The taps of one image of maps [*,*,H,W]; boxes [B,4] float32 and flips [B], both contiguous.
inline cpu::Taps taps_of_image(const torch::Tensor& boxes, const torch::Tensor& flipped,
                               cpu::Index image, cpu::Index height, cpu::Index width) {
  const float* box = boxes.const_data_ptr<float>() + 4 * image;
  return cpu::sampling_taps({box[0], box[1], box[2], box[3], flipped.const_data_ptr<bool>()[image]},
                            height, width);
}

namespace detail {

/// The samples of maps [B,K,H,W], or what the gradient [B,K,H,W] by samples is by the maps: the
/// same with the transposed matrix.
inline torch::Tensor resample(const torch::Tensor& maps, const torch::Tensor& boxes,
                              const torch::Tensor& flipped, bool transposed) {
  const cpu::MapBatch from(maps), to = from.like();
  const auto height = maps.size(2), width = maps.size(3);
  const cpu::MapTurner turner(from.channels(), from.positions());
  cpu::over_images(maps.size(0), [&](cpu::Index begin, cpu::Index end) {
    cpu::Scratch scratch;
    float* const rows = scratch.take(turner.size());
    for (cpu::Index image = begin; image < end; ++image) {
      const auto taps = taps_of_image(boxes, flipped, image, height, width);
      turner.sample_back(turner.turn(from.image(image), rows),
                         transposed ? cpu::transposed(taps) : taps, to.image(image));
    }
  });
  return to.view(maps.sizes());
}

/// Resampling as a node of the graph. It is linear: its gradient is the resampling by the
/// transposed matrix, and the gradient of that is the resampling itself.
class Resampling : public torch::autograd::Function<Resampling> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& maps,
                               const torch::Tensor& boxes, const torch::Tensor& flipped,
                               bool transposed) {
    context->save_for_backward({boxes, flipped});
    context->saved_data["transposed"] = transposed;
    return resample(maps, boxes, flipped, transposed);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradient) {
    const auto saved = context->get_saved_variables();
    const bool transposed = context->saved_data["transposed"].toBool();
    return {apply(gradient[0], saved[0], saved[1], !transposed), {}, {}, {}};
  }
};

}  // namespace detail

/// As `reference`, of float32 on the CPU; equal on any number of threads, differentiable any number
/// of times.
inline torch::Tensor fused(const torch::Tensor& maps, const torch::Tensor& boxes,
                           const torch::Tensor& flipped) {
  return detail::Resampling::apply(maps, boxes.contiguous(), flipped.contiguous(), false);
}

}  // namespace slotcon::kernel::inverse_augmentation
