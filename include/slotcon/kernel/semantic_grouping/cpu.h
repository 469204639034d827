// The fused CPU kernel of semantic grouping.
#pragma once

#include <slotcon/kernel/cpu/compiled.h>
#include <slotcon/kernel/semantic_grouping/pass.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// Forward pass of features [B,D,N] of float32, bfloat16 or float16 and of any strides, and
/// prototypes [K,D] of float32, on the CPU.
SLOTCON_CPU_KERNEL Forward cpu_forward(const torch::Tensor& features,
                                       const torch::Tensor& prototypes, double temperature,
                                       double eps);

/// Backward pass: the gradients of features, in their type and order, and of prototypes, undefined
/// where not wanted.
SLOTCON_CPU_KERNEL std::tuple<torch::Tensor, torch::Tensor> cpu_backward(
    const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
    const Incoming& incoming, double temperature, double eps, Wanted wanted);

}  // namespace slotcon::kernel::semantic_grouping

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/semantic_grouping/cpu_passes.h>
#endif
