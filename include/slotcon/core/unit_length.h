// L2 normalisation with the field's floor.
#pragma once

#include <torch/types.h>

namespace slotcon {

/// `vectors` of a floating type divided by their norm along `dim`, the norm not below 1e-12: in
/// float32 the floor acts on zero vectors only, which stay zero. Differentiable twice.
inline torch::Tensor unit_length(const torch::Tensor& vectors, std::int64_t dim) {
  constexpr double kNormFloor = 1e-12;
  return vectors /
         at::linalg_vector_norm(vectors, 2, {dim}, /*keepdim=*/true).clamp_min(kNormFloor);
}

}  // namespace slotcon
