// Transposition of a float matrix by squares of vectors.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_TRANSPOSE_H
#define SLOTCON_KERNEL_CPU_TRANSPOSE_H
#include <slotcon/kernel/cpu/pack.h>
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/transpose.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// to[j][i] = from[i][j] for i < rows, j < columns; the strides count floats from row to row. The
/// last square in each direction ends with the matrix and may overlap the one before it, so that
/// odd sizes cost no partial vectors.
SLOTCON_SIMD inline void transpose_matrix(const float* from, Index from_stride, Index rows,
                                          Index columns, float* to, Index to_stride) {
  if (rows < kWidth || columns < kWidth) {
    copy({from, 1, from_stride}, columns, rows, {to, to_stride, 1});
    return;
  }
  for (Index next_row = 0; next_row < rows; next_row += kWidth) {
    const Index row = std::min(next_row, rows - kWidth);
    for (Index next_column = 0; next_column < columns; next_column += kWidth) {
      const Index column = std::min(next_column, columns - kWidth);
      Vector square[kWidth];
#pragma GCC unroll 16
      for (Index i = 0; i < kWidth; ++i) {
        square[i] = load(from + (row + i) * from_stride + column);
      }
      transpose(square);
#pragma GCC unroll 16
      for (Index i = 0; i < kWidth; ++i) store(to + (column + i) * to_stride + row, square[i]);
    }
  }
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
