// Inverse augmentation on the CPU as a sparse matrix: each output pixel mixes a few input pixels.
#pragma once

#include <slotcon/kernel/cpu/compiled.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

namespace slotcon::kernel::inverse_augmentation {

/// The samples of maps [B,K,H,W], float32, or what the gradient [B,K,H,W] by samples is by the
/// maps: the same with the transposed matrix. Boxes [B,4] float32 and flips [B], both contiguous.
SLOTCON_CPU_KERNEL torch::Tensor cpu_resample(const torch::Tensor& maps, const torch::Tensor& boxes,
                                              const torch::Tensor& flipped, bool transposed);

namespace detail {

/// `resample`, a function like cpu_resample(), as a node of the graph. It is linear: its gradient
/// is the resampling by the transposed matrix, and the gradient of that is the resampling itself.
template <auto resample>
class Resampling : public torch::autograd::Function<Resampling<resample>> {
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
    return {Resampling::apply(gradient[0], saved[0], saved[1], !transposed), {}, {}, {}};
  }
};

}  // namespace detail

/// As `reference`, of float32 on the CPU; equal on any number of threads, differentiable any number
/// of times.
inline torch::Tensor fused(const torch::Tensor& maps, const torch::Tensor& boxes,
                           const torch::Tensor& flipped) {
  return detail::Resampling<&cpu_resample>::apply(maps, boxes.contiguous(), flipped.contiguous(),
                                                  false);
}

}  // namespace slotcon::kernel::inverse_augmentation

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/inverse_augmentation/cpu_resampling.h>
#endif
