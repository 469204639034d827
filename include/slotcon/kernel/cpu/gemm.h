// Products of packed matrices, as blocks to build fused kernels from.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_GEMM_H
#define SLOTCON_KERNEL_CPU_GEMM_H
#include <slotcon/kernel/cpu/pack.h>
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/gemm.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// The block of C that multiply() holds in registers: kTileRows x kTileColumns.
constexpr Index kTileRows = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 4;
constexpr Index kTileColumns = 2 * kWidth;

/// Rows and columns of a well filled block that is cut from something larger: whole tiles.
constexpr Index kChunk = kWidth == 16 ? 224 : 240;
static_assert(kChunk % kTileRows == 0 && kChunk % kTileColumns == 0);

/// Packs the left operand of multiply(): A [rows, depth], given as its transpose [depth, rows].
SLOTCON_SIMD inline void pack_left(Matrix transposed, Index depth, Index rows, float* to,
                                   Operand operand = Operand::kFloat) {
  pack<kTileRows>(transposed, depth, rows, to, operand);
}
constexpr Index left_size(Index depth, Index rows, Operand operand = Operand::kFloat) {
  return packed_size<kTileRows>(depth, rows, operand);
}

/// Packs the right operand of multiply(): B [depth, columns].
SLOTCON_SIMD inline void pack_right(Matrix from, Index depth, Index columns, float* to,
                                    Operand operand = Operand::kFloat) {
  pack<kTileColumns>(from, depth, columns, to, operand);
}
constexpr Index right_size(Index depth, Index columns, Operand operand = Operand::kFloat) {
  return packed_size<kTileColumns>(depth, columns, operand);
}

/// Asks for the place of a tile, to be there when its sums are.
template <Index kRows>
SLOTCON_SIMD_INLINE void prefetch_tile(const float* c, Index stride) {
#pragma GCC unroll 16
  for (Index i = 0; i < kRows; ++i) {
    for (Index j = 0; j < kTileColumns; j += 16) __builtin_prefetch(c + i * stride + j, 1);
  }
}

/// The sums of a tile that are added up in registers, and where they go.
template <Index kRows>
SLOTCON_SIMD_INLINE void store_tile(const Vector (&tile)[kRows][2], float* c, Index stride,
                                    bool add) {
#pragma GCC unroll 16
  for (Index i = 0; i < kRows; ++i) {
    float* row = c + i * stride;
    store(row, add ? load(row) + tile[i][0] : tile[i][0]);
    store(row + kWidth, add ? load(row + kWidth) + tile[i][1] : tile[i][1]);
  }
}

/// C [kRows, kTileColumns] = or += the product of a panel of each operand.
template <Index kRows>
SLOTCON_SIMD inline void multiply_tile(const float* left, const float* right, Index depth, float* c,
                                       Index stride, bool add) {
  Vector tile[kRows][2];
#pragma GCC unroll 16
  for (Index i = 0; i < kRows; ++i) tile[i][0] = tile[i][1] = Vector{};
  prefetch_tile<kRows>(c, stride);
  for (Index d = 0; d < depth; ++d) {
    const Vector low = load(right + d * kTileColumns);
    const Vector high = load(right + d * kTileColumns + kWidth);
#pragma GCC unroll 16
    for (Index i = 0; i < kRows; ++i) {
      const Vector weight = broadcast(left[d * kTileRows + i]);
      tile[i][0] = weight * low + tile[i][0];
      tile[i][1] = weight * high + tile[i][1];
    }
  }
  store_tile(tile, c, stride, add);
}

#ifdef SLOTCON_SIMD_BFLOAT16
/// The same of operands in bfloat16: `depth` counts their pairs.
template <Index kRows>
SLOTCON_SIMD_BFLOAT16 inline void multiply_tile_bfloat16(const float* left, const float* right,
                                                         Index depth, float* c, Index stride,
                                                         bool add) {
  Vector tile[kRows][2];
#pragma GCC unroll 16
  for (Index i = 0; i < kRows; ++i) tile[i][0] = tile[i][1] = Vector{};
  prefetch_tile<kRows>(c, stride);
  for (Index d = 0; d < depth; ++d) {
    const auto low = reinterpret_cast<__m512bh>(load(right + d * kTileColumns));
    const auto high = reinterpret_cast<__m512bh>(load(right + d * kTileColumns + kWidth));
#pragma GCC unroll 16
    for (Index i = 0; i < kRows; ++i) {
      const auto weight = reinterpret_cast<__m512bh>(broadcast(left[d * kTileRows + i]));
      tile[i][0] = _mm512_dpbf16_ps(tile[i][0], weight, low);
      tile[i][1] = _mm512_dpbf16_ps(tile[i][1], weight, high);
    }
  }
  store_tile(tile, c, stride, add);
}
#endif

/// The one for the operands; those in bfloat16 need a processor with has_bfloat16_products().
template <Index kRows>
SLOTCON_SIMD_INLINE void multiply_tile(const float* left, const float* right, Index depth, float* c,
                                       Index stride, bool add, [[maybe_unused]] Operand operand) {
#ifdef SLOTCON_SIMD_BFLOAT16
  if (operand == Operand::kBFloat16) {
    multiply_tile_bfloat16<kRows>(left, right, depth, c, stride, add);
    return;
  }
#endif
  multiply_tile<kRows>(left, right, depth, c, stride, add);
}

/// multiply_tile() where C ends within the tile.
SLOTCON_SIMD inline void multiply_edge(const float* left, const float* right, Index rows,
                                       Index columns, Index depth, float* c, Index stride, bool add,
                                       Operand operand) {
  float tile[kTileRows * kTileColumns];
  if (rows <= kTileRows / 2) {
    multiply_tile<kTileRows / 2>(left, right, depth, tile, kTileColumns, false, operand);
  } else {
    multiply_tile<kTileRows>(left, right, depth, tile, kTileColumns, false, operand);
  }
  for (Index i = 0; i < rows; ++i) {
    float* row = c + i * stride;
    const float* from = tile + i * kTileColumns;
    for (Index j = 0; j < columns; ++j) row[j] = add ? row[j] + from[j] : from[j];
  }
}

/// multiply() for `depth` levels of packed operands that have `packed` of them.
SLOTCON_SIMD inline void multiply_levels(const float* left, const float* right, Index rows,
                                         Index columns, Index packed, Index depth, float* c,
                                         Index stride, bool add, Operand operand) {
  for (Index column = 0; column < columns; column += kTileColumns) {
    const float* panel = right + column * packed;
    const Index width = std::min(kTileColumns, columns - column);
    for (Index row = 0; row < rows; row += kTileRows) {
      const float* strip = left + row * packed;
      const Index height = std::min(kTileRows, rows - row);
      float* corner = c + row * stride + column;
      if (width < kTileColumns || (height < kTileRows && height != kTileRows / 2)) {
        multiply_edge(strip, panel, height, width, depth, corner, stride, add, operand);
      } else if (height == kTileRows / 2) {
        multiply_tile<kTileRows / 2>(strip, panel, depth, corner, stride, add, operand);
      } else {
        multiply_tile<kTileRows>(strip, panel, depth, corner, stride, add, operand);
      }
    }
  }
}

/// C [rows, columns] = A B, or C += A B with `add`. A [rows, depth] is packed by pack_left(),
/// B [depth, columns] by pack_right(), both as `operand`; `stride` counts floats from row to row of
/// C. With no depth the product is 0.
///
/// Products are added up kDepth at a time, then the sums: a panel of B stays in the first cache
/// while all of A goes by, and the rounding errors of a long sum stay small.
SLOTCON_SIMD inline void multiply(const float* left, const float* right, Index rows, Index columns,
                                  Index depth, float* c, Index stride, bool add,
                                  Operand operand = Operand::kFloat) {
  constexpr Index kDepth = 128;
  const Index packed = packed_depth(depth, operand);
  Index done = 0;
  do {
    multiply_levels(left + done * kTileRows, right + done * kTileColumns, rows, columns, packed,
                    std::min(kDepth, packed - done), c, stride, add || done > 0, operand);
    done += kDepth;
  } while (done < packed);
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
