// Semantic grouping in plain ATen operations: the specification of every fused kernel.
#pragma once

#include <slotcon/core/unit_length.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// Which slots have the largest score of a position: [B,K] bool of scores [B,K,N]. Ties go to the
/// lowest.
inline torch::Tensor present(const torch::Tensor& scores) {
  const at::NoGradGuard no_grad;
  const auto none =
      at::zeros({scores.size(0), scores.size(1)}, scores.options().dtype(torch::kBool));
  return none.scatter(1, scores.argmax(1), true);
}

/// (slots [B,K,D], scores [B,K,N], present [B,K]) of features [B,D,N] and prototypes [K,D], all of
/// one float type.
inline std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> reference(
    const torch::Tensor& features, const torch::Tensor& prototypes, double temperature,
    double eps) {
  const auto scores = at::matmul(unit_length(prototypes, 1), unit_length(features, 1));
  const auto assignment = at::softmax(scores / temperature, 1) + eps;
  const auto weights = assignment / assignment.sum(2, /*keepdim=*/true);
  return {at::bmm(weights, features.transpose(1, 2)), scores, present(scores)};
}

}  // namespace slotcon::kernel::semantic_grouping
