// What the CPU kernel makes of the prototypes before it sees an image, and of their gradient after.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_PROTOTYPES_H
#define SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_PROTOTYPES_H
#include <slotcon/kernel/cpu/gemm.h>
#include <slotcon/kernel/cpu/unit_rows.h>

#include <cmath>

namespace slotcon::kernel::semantic_grouping {

using cpu::Index;
using cpu::norm_is_floor;
using cpu::Operand;
using cpu::packed_depth;
using cpu::round_up;

/// The inverse of a norm that is kept from below the floor; NaN stays NaN.
inline float inverse_of_norm(float square) {
  return 1.0f / std::max(std::sqrt(square), static_cast<float>(kNormFloor));
}

}  // namespace slotcon::kernel::semantic_grouping

#define SLOTCON_SIMD_FILE <slotcon/kernel/semantic_grouping/cpu_prototypes.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE {

using namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE;  // NOLINT: its other half

/// Rows of a [K,D] table that are prepared together: whole panels of every packed order.
inline Index chunk_of_slots() { return kChunk; }

/// Prototypes first to last of [K,D] at unit length, and the inverses of their norms.
SLOTCON_SIMD inline void unit_prototypes(const float* from, Index dims, Index first, Index last,
                                         float* to, float* inverse_norm) {
  for (Index k = first; k < last; ++k) {
    const float* row = from + k * dims;
    const float inverse = inverse_of_norm(dot(row, row, dims));
    for (Index d = 0; d < dims; ++d) to[k * dims + d] = row[d] * inverse;
    inverse_norm[k] = inverse;
  }
}

/// Floats of a table [K,D] packed in one of the two orders below.
inline Index packed_by_slot_size(Index slots, Index dims, Operand operand) {
  return right_size(dims, slots, operand);
}
inline Index packed_by_dim_size(Index slots, Index dims, Operand operand) {
  return right_size(slots, dims, operand);
}

/// Where what belongs to slot k, a multiple of kChunk, starts in either.
inline Index by_slot(Index k, Index dims, Operand operand) {
  return k * packed_depth(dims, operand);
}
inline Index by_dim(Index k, Index dims, Operand operand) {
  return packed_depth(k, operand) * round_up(dims, kTileColumns);
}

/// Rows first to last of a table [K,D] as columns of a right operand of depth D; `first` is a
/// multiple of kChunk.
SLOTCON_SIMD inline void pack_by_slot(cpu::Matrix table, Index dims, Index first, Index last,
                                      float* to, Operand operand) {
  pack_right(table.from(first, 0).transposed(), dims, last - first,
             to + by_slot(first, dims, operand), operand);
}

/// Rows first to last of a table [K,D] as right operands of D columns, one for each kChunk rows.
SLOTCON_SIMD inline void pack_by_dim(cpu::Matrix table, Index dims, Index first, Index last,
                                     float* to, Operand operand) {
  for (Index k = first; k < last; k += kChunk) {
    pack_right(table.from(k, 0), std::min(kChunk, last - k), dims, to + by_dim(k, dims, operand),
               operand);
  }
}

/// The gradient of prototypes first to last from that of their unit vectors, which is the sum of
/// `parts` tables [K,D], added in order:
///     ds = (u - (u . s) s) / |s|, s of unit length
SLOTCON_SIMD inline void prototype_gradient(const float* units, const float* inverse_norm,
                                            const float* grad_units, Index parts, Index part_stride,
                                            Index dims, Index first, Index last, float* to) {
  for (Index k = first; k < last; ++k) {
    float* row = to + k * dims;
    const float* unit = units + k * dims;
    std::fill(row, row + dims, 0.0f);
    for (Index part = 0; part < parts; ++part) {
      const float* from = grad_units + part * part_stride + k * dims;
      for (Index d = 0; d < dims; ++d) row[d] += from[d];
    }
    const float radial = norm_is_floor(inverse_norm[k]) ? 0.0f : dot(row, unit, dims);
    for (Index d = 0; d < dims; ++d) row[d] = (row[d] - radial * unit[d]) * inverse_norm[k];
  }
}

}  // namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE

#endif
