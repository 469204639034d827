// Chooses the implementation of batch norm and its activation.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/kernel/batch_norm/fused.h>
#include <slotcon/kernel/batch_norm/reference.h>
#include <slotcon/kernel/choice.h>
#include <torch/types.h>

namespace slotcon::kernel::batch_norm {

/// Whether the fused kernel can run on x and the residual. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& x, const torch::Tensor& residual, const Norm& norm) {
  const auto choice = choose_float32_on_cpu(x);
  if (!choice.fused) return choice;
  const auto fits = [](const torch::Tensor& tensor) {
    return (tensor.dim() == 2 && tensor.is_contiguous()) ||
           (tensor.dim() == 4 && tensor.is_contiguous(torch::MemoryFormat::ChannelsLast));
  };
  if (!fits(x)) return {false, "the kernel needs rows [N,C] or channels-last maps [N,C,h,w]"};
  if (residual.defined() && (!fits(residual) || residual.scalar_type() != x.scalar_type() ||
                             residual.sizes() != x.sizes())) {
    return {false, "the kernel needs a residual of the type, sizes and layout of x"};
  }
  if (norm.weight.scalar_type() != torch::kFloat) {
    return {false, "the kernel needs parameters in float32"};
  }
  return {true, ""};
}

}  // namespace slotcon::kernel::batch_norm
