// Semantic grouping in plain ATen operations: the specification of every fused kernel.
#pragma once

#include <slotcon/core/unit_length.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// (slots [B,K,D], scores [B,K,N]) of features [B,D,N] and prototypes [K,D], all of one float type.
inline std::tuple<torch::Tensor, torch::Tensor> reference(const torch::Tensor& features,
                                                          const torch::Tensor& prototypes,
                                                          double temperature, double eps) {
  const auto scores = at::matmul(unit_length(prototypes, 1), unit_length(features, 1));
  const auto assignment = at::softmax(scores / temperature, 1) + eps;
  const auto weights = assignment / assignment.sum(2, /*keepdim=*/true);
  return {at::bmm(weights, features.transpose(1, 2)), scores};
}

}  // namespace slotcon::kernel::semantic_grouping
