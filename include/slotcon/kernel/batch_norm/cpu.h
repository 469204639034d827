// Batch norm and its activation on the CPU: two passes over the maps forward, two back.
#pragma once

#include <slotcon/kernel/batch_norm/reference.h>
#include <slotcon/kernel/cpu/compiled.h>
#include <torch/types.h>

namespace slotcon::kernel::batch_norm {

/// What the forward pass gives; the statistics [C] float32.
struct Pass {
  torch::Tensor y, mean, inverse_deviation;
};

/// As `reference`, without gradient; equal on any number of threads.
///
/// x and residual [N,C], or [N,C,h,w] channels last, of one type, float32 or half; the norm's
/// tensors float32. Moments in float32 over 256 rows at most, added up in float64; the result is
/// rounded once.
SLOTCON_CPU_KERNEL Pass cpu_forward(const torch::Tensor& x, const torch::Tensor& residual,
                                    const Norm& norm, Activation activation);

/// Gradients by x, residual, weight and bias.
struct Gradients {
  torch::Tensor x, residual, weight, bias;
};

/// From the gradient by y, which lies as x does. `pass.y` is needed for kAddRelu, which alone gives
/// a gradient by the residual.
SLOTCON_CPU_KERNEL Gradients cpu_backward(const torch::Tensor& by_y, const torch::Tensor& x,
                                          const torch::Tensor& weight, const torch::Tensor& bias,
                                          const Pass& pass, Activation activation);

}  // namespace slotcon::kernel::batch_norm

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/batch_norm/cpu_passes.h>
#endif
