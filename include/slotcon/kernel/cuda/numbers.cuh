// Kernels as templates by type and vector width, launched by run-time type and size.
#pragma once

#include <cstdint>
#include <slotcon/kernel/cuda/compat.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

template <class T>
struct Type {
  using type = T;
};

/// visit(Type<T>()) for the type T that `scalar` names.
template <class Visitor>
Error by_type(Scalar scalar, const Visitor& visit) {
  switch (scalar) {
    case Scalar::kFloat32:
      return visit(Type<float>());
    case Scalar::kBFloat16:
      return visit(Type<BFloat16>());
    case Scalar::kFloat16:
      return visit(Type<Float16>());
  }
  return "a type of numbers that no kernel knows";
}

template <int kNumber>
struct Constant {
  static constexpr int value = kNumber;
};

/// Whether vectors of four neighbours fill rows of this length, from addresses aligned to that.
template <class... Arrays>
bool fits_vectors(Index row, const Arrays*... arrays) {
  const auto aligned = [](const auto* array) {
    constexpr std::uintptr_t kBytes = 4 * sizeof(*array);
    return reinterpret_cast<std::uintptr_t>(array) % kBytes == 0;
  };
  return row % 4 == 0 && (aligned(arrays) && ...);
}

/// visit(Constant<width>()): 4 where vectors fit, else 1.
template <class Visitor>
Error by_width(bool vectors, const Visitor& visit) {
  return vectors ? visit(Constant<4>()) : visit(Constant<1>());
}

__host__ __device__ constexpr Index divided_up(Index count, Index by) {
  return (count + by - 1) / by;
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
