// L2 normalisation with the field's floor.
#pragma once

#include <torch/types.h>

namespace slotcon {

/// What no norm is taken below. In float32 it acts on zero vectors only.
constexpr double kNormFloor = 1e-12;

/// `vectors` of a floating type divided by their norm along `dim`, the norm not below kNormFloor:
/// zero vectors stay zero. Differentiable twice.
inline torch::Tensor unit_length(const torch::Tensor& vectors, std::int64_t dim) {
  return vectors /
         at::linalg_vector_norm(vectors, 2, {dim}, /*keepdim=*/true).clamp_min(kNormFloor);
}

}  // namespace slotcon
