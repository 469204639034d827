// The gradients of a list of parameters as one vector.
#pragma once

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <torch/types.h>

#include <vector>

namespace slotcon {

/// The gradients of those parameters that have one; not copies.
inline std::vector<torch::Tensor> gradients_of(const std::vector<torch::Tensor>& parameters) {
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  return gradients;
}

/// The Euclidean norm of all gradients together, 0-d, on their device; 0 of none. It is finite only
/// if every gradient is. The gradients have one dtype and one device.
inline torch::Tensor gradient_norm(const std::vector<torch::Tensor>& gradients) {
  if (gradients.empty()) return torch::zeros({});
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients)));
}

/// What gradients of this norm are multiplied by so that their norm does not exceed `clip_norm`: 1
/// if it does not.
inline double clip_factor(double norm, double clip_norm) {
  return norm > clip_norm ? clip_norm / norm : 1;
}

/// Multiplies each gradient in place.
inline void scale_gradients(std::vector<torch::Tensor> gradients, double factor) {
  if (factor == 1 || gradients.empty()) return;
  const torch::NoGradGuard no_grad;
  at::_foreach_mul_(gradients, factor);
}

}  // namespace slotcon
