// Copies of matrices in the order in which something else reads them.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_PACK_H
#define SLOTCON_KERNEL_CPU_PACK_H
#include <slotcon/kernel/cpu/vector.h>

#include <algorithm>

namespace slotcon::kernel::cpu {

/// A matrix of floats that lies in memory in any order; the strides count floats.
template <class Float>
struct Strided {
  Float* data;
  Index row_stride;
  Index column_stride;

  Float* at(Index row, Index column) const {
    return data + row * row_stride + column * column_stride;
  }
  Strided from(Index row, Index column) const {
    return {at(row, column), row_stride, column_stride};
  }
  Strided transposed() const { return {data, column_stride, row_stride}; }
};

using Matrix = Strided<const float>;
using MutableMatrix = Strided<float>;

/// `count` rounded up to a multiple of `unit`.
constexpr Index round_up(Index count, Index unit) { return (count + unit - 1) / unit * unit; }

}  // namespace slotcon::kernel::cpu

#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/pack.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// The square of `from` whose rows are `lanes` <= kWidth columns, and of which `depth` <= kWidth
/// rows are read; zeros beyond. Column i of `from` has to be contiguous.
SLOTCON_SIMD_INLINE void load_columns(Matrix from, Index depth, Index lanes,
                                      Vector (&rows)[kWidth]) {
  if (depth == kWidth && lanes == kWidth) {
#pragma GCC unroll 16
    for (Index lane = 0; lane < kWidth; ++lane) rows[lane] = load(from.at(0, lane));
  } else {
    for (Index lane = 0; lane < kWidth; ++lane) {
      rows[lane] = lane < lanes ? load_first(from.at(0, lane), depth) : Vector{};
    }
  }
  transpose(rows);
}

/// to[row][column] = from[row][column] where the columns of `from` are contiguous, the rows of
/// `to`.
SLOTCON_SIMD inline void copy_transposed(Matrix from, Index rows, Index columns, float* to,
                                         Index to_stride) {
  for (Index row = 0; row < rows; row += kWidth) {
    const Index depth = std::min(kWidth, rows - row);
    for (Index column = 0; column < columns; column += kWidth) {
      const Index lanes = std::min(kWidth, columns - column);
      Vector block[kWidth];
      load_columns(from.from(row, column), depth, lanes, block);
      float* corner = to + row * to_stride + column;
      if (depth == kWidth && lanes == kWidth) {
#pragma GCC unroll 16
        for (Index i = 0; i < kWidth; ++i) store(corner + i * to_stride, block[i]);
      } else {
        for (Index i = 0; i < depth; ++i) store_first(corner + i * to_stride, block[i], lanes);
      }
    }
  }
}

/// to[row][column] = from[row][column], whatever the order of either.
SLOTCON_SIMD inline void copy(Matrix from, Index rows, Index columns, MutableMatrix to) {
  if (to.column_stride != 1 && to.row_stride == 1) {
    copy(from.transposed(), columns, rows, to.transposed());
  } else if (to.column_stride == 1 && from.column_stride == 1) {
    const auto bytes = static_cast<std::size_t>(columns) * sizeof(float);
    if (bytes == 0) return;
    for (Index row = 0; row < rows; ++row) std::memcpy(to.at(row, 0), from.at(row, 0), bytes);
  } else if (to.column_stride == 1 && from.row_stride == 1) {
    copy_transposed(from, rows, columns, to.data, to.row_stride);
  } else {
    for (Index row = 0; row < rows; ++row) {
      for (Index column = 0; column < columns; ++column)
        *to.at(row, column) = *from.at(row, column);
    }
  }
}

/// One panel of pack(), of `lanes` <= kPanel columns.
template <Index kPanel>
SLOTCON_SIMD inline void pack_panel(Matrix from, Index depth, Index lanes, float* to) {
  if (from.column_stride == 1 && lanes == kPanel) {
    for (Index d = 0; d < depth; ++d) {
      std::memcpy(to + d * kPanel, from.at(d, 0), static_cast<std::size_t>(kPanel) * sizeof(float));
    }
  } else if (from.row_stride == 1) {
    for (Index d = 0; d < depth; d += kWidth) {
      const Index levels = std::min(kWidth, depth - d);
      for (Index first = 0; first < kPanel; first += kWidth) {
        Vector block[kWidth];
        load_columns(from.from(d, first), levels, std::min(kWidth, lanes - first), block);
        // A vector wider than the panel reaches into the next level, which is written after it.
        if (levels == kWidth) {
#pragma GCC unroll 16
          for (Index i = 0; i < kWidth; ++i) store(to + (d + i) * kPanel + first, block[i]);
        } else {
          for (Index i = 0; i < levels; ++i) store(to + (d + i) * kPanel + first, block[i]);
        }
      }
    }
  } else {
    for (Index d = 0; d < depth; ++d) {
      for (Index lane = 0; lane < kPanel; ++lane) {
        to[d * kPanel + lane] = lane < lanes ? *from.at(d, lane) : 0.0f;
      }
    }
  }
}

/// Floats to allocate for pack<kPanel>() of a matrix of `depth` rows and `columns` columns.
template <Index kPanel>
constexpr Index packed_size(Index depth, Index columns) {
  return round_up(columns, kPanel) * depth + kWidth;
}

/// The columns of a matrix [depth, columns] in panels of kPanel, each of them contiguous:
/// to[panel][depth][kPanel], the columns that are missing in the last panel 0.
template <Index kPanel>
SLOTCON_SIMD inline void pack(Matrix from, Index depth, Index columns, float* to) {
  static_assert(kPanel <= kWidth || kPanel % kWidth == 0);
  for (Index first = 0; first < columns; first += kPanel) {
    pack_panel<kPanel>(from.from(0, first), depth, std::min(kPanel, columns - first),
                       to + first * depth);
  }
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
