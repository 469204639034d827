// Vectors at unit length, made where they are needed, and the gradient of that.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_UNIT_ROWS_H
#define SLOTCON_KERNEL_CPU_UNIT_ROWS_H
#include <slotcon/core/unit_length.h>
#include <slotcon/kernel/cpu/vector.h>

namespace slotcon::kernel::cpu {

/// Whether the floor of unit_length() held: then the norm is a constant, without a gradient.
inline bool norm_is_floor(float inverse_norm) {
  return inverse_norm >= 1 / static_cast<float>(kNormFloor);
}

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/unit_rows.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// to [count,D] = the unit vectors from `first` on.
SLOTCON_SIMD inline void unit_rows(const Directions& directions, Index first, Index count,
                                   Index dim, float* to) {
  for (Index i = 0; i < count; ++i) {
    const float* vector = directions.vectors + (first + i) * dim;
    const float inverse = directions.inverse_norms[first + i];
    for (Index d = 0; d < dim; ++d) to[i * dim + d] = vector[d] * inverse;
  }
}

/// In place of the gradient by the unit vector s of vector i, that by the vector itself:
/// (g - <g, s> s) / |x|.
SLOTCON_SIMD inline void pass_unit_length(const Directions& directions, Index i, Index dim,
                                          float* gradient) {
  const float* vector = directions.vectors + i * dim;
  const float inverse = directions.inverse_norms[i];
  const float radial =
      norm_is_floor(inverse) ? 0.0f : dot(gradient, vector, dim) * inverse * inverse;
  for (Index d = 0; d < dim; ++d) gradient[d] = (gradient[d] - radial * vector[d]) * inverse;
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
