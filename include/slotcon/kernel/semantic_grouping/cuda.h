// The fused CUDA kernels of semantic grouping: float32, bfloat16 and float16.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_plan.h>
#include <slotcon/kernel/semantic_grouping/cuda_products.h>
#include <slotcon/kernel/semantic_grouping/cuda_tiles.h>
#include <slotcon/kernel/semantic_grouping/pass.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// Forward pass of features [B,D,N], of any strides, and prototypes [K,D], float32. The slots have
/// the features' type, the rest is float32; the scores are a view of [B,N,K].
inline Forward cuda_forward(const torch::Tensor& features, const torch::Tensor& prototypes,
                            double temperature, double eps) {
  const detail::CudaCall call(features, prototypes, temperature, eps);
  const auto table = prototypes.contiguous();
  return cuda_plans(features, prototypes, eps).forward == CudaPlan::kTiles
             ? detail::cuda_forward_by_tiles(call, features, table)
             : detail::cuda_forward_by_products(call, features, table);
}

/// Backward pass: the gradients of features, in their type and memory order, and of prototypes,
/// float32; undefined where not wanted.
inline std::tuple<torch::Tensor, torch::Tensor> cuda_backward(
    const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
    const Incoming& incoming, double temperature, double eps, Wanted wanted) {
  const detail::CudaCall call(features, prototypes, temperature, eps);
  const auto table = prototypes.contiguous();
  const auto plan = cuda_plans(features, prototypes, eps).backward;
  return incoming.slots && plan == CudaPlan::kTiles
             ? detail::cuda_backward_by_tiles(call, features, table, forward, incoming, wanted)
             : detail::cuda_backward_by_products(call, features, table, forward, incoming, wanted);
}

}  // namespace slotcon::kernel::semantic_grouping
