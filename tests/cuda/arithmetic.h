// Kinds of arithmetic as cases name them, for the tests of the CUDA kernels.
#pragma once

#include <slotcon/kernel/cuda/types.h>
#include <torch/types.h>

namespace slotcon::testing {

using kernel::cuda::Arithmetic;

inline const char* name_of(Arithmetic arithmetic) {
  static constexpr const char* kNames[] = {"float32", "TF32", "bfloat16", "float16"};
  return kNames[static_cast<int>(arithmetic)];
}

inline at::ScalarType type_of(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kBFloat16) return at::kBFloat16;
  return arithmetic == Arithmetic::kFloat16 ? at::kHalf : at::kFloat;
}

inline Arithmetic arithmetic_of(at::ScalarType type) {
  if (type == at::kBFloat16) return Arithmetic::kBFloat16;
  return type == at::kHalf ? Arithmetic::kFloat16 : Arithmetic::kFloat32;
}

/// The type whose reference makes errors of the same size: TF32 has the digits of float16.
inline at::ScalarType type_to_judge_by(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kTf32 ? at::kHalf : type_of(arithmetic);
}

}  // namespace slotcon::testing
