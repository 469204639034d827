// Chooses the implementation of batch norm, residual and ReLU.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/kernel/batch_norm_relu/fused.h>
#include <slotcon/kernel/batch_norm_relu/reference.h>
#include <slotcon/kernel/choice.h>
#include <torch/types.h>

namespace slotcon::kernel::batch_norm_relu {

/// Whether the fused kernel can run on these maps. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& x, const torch::Tensor& residual, const Norm& norm) {
  const auto choice = choose_float32_on_cpu(x);
  if (!choice.fused) return choice;
  const auto fits = [](const torch::Tensor& maps) {
    return maps.dim() == 4 && maps.is_contiguous(torch::MemoryFormat::ChannelsLast);
  };
  if (!fits(x)) return {false, "the kernel needs maps [N,C,h,w] that are channels last"};
  if (residual.defined() && (!fits(residual) || residual.scalar_type() != x.scalar_type() ||
                             residual.sizes() != x.sizes())) {
    return {false, "the kernel needs a residual of the type, sizes and layout of the maps"};
  }
  if (norm.weight.scalar_type() != torch::kFloat) {
    return {false, "the kernel needs parameters in float32"};
  }
  return {true, ""};
}

}  // namespace slotcon::kernel::batch_norm_relu
