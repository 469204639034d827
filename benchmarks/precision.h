// The precisions in which rows are measured.
#pragma once

#include <torch/types.h>

namespace bench {

/// The type of a row's features and, for float32, whether matrix products may round to TF32.
enum class Precision { kFloat32, kTf32, kBFloat16, kFloat16 };

inline at::ScalarType type_of(Precision precision) {
  if (precision == Precision::kBFloat16) return at::kBFloat16;
  return precision == Precision::kFloat16 ? at::kHalf : at::kFloat;
}

inline const char* name_of(Precision precision) {
  static constexpr const char* kNames[] = {"float32", "tf32", "bfloat16", "float16"};
  return kNames[static_cast<int>(precision)];
}

/// The largest |result - expected| / |expected| of an implementation that computes the right thing.
inline double tolerance_of(Precision precision) {
  static constexpr double kTolerances[] = {1e-4, 1e-2, 3e-2, 1e-2};
  return kTolerances[static_cast<int>(precision)];
}

}  // namespace bench
