// Copies of matrices in the order in which something else reads them.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_PACK_H
#define SLOTCON_KERNEL_CPU_PACK_H
#include <slotcon/kernel/cpu/element.h>

#include <algorithm>
#include <type_traits>

namespace slotcon::kernel::cpu {

/// A matrix that lies in memory in any order; the strides count elements. Without data it stands
/// for no matrix.
template <class Byte>
struct Strided {
  using Void = std::conditional_t<std::is_const_v<Byte>, const void, void>;

  Strided() = default;
  Strided(Void* data_, Index row_stride_, Index column_stride_, Element element_ = Element::kFloat)
      : data(static_cast<Byte*>(data_)),
        row_stride(row_stride_),
        column_stride(column_stride_),
        element(element_) {}

  Byte* at(Index row, Index column) const {
    return data + (row * row_stride + column * column_stride) * size_of(element);
  }
  Strided from(Index row, Index column) const {
    return {at(row, column), row_stride, column_stride, element};
  }
  Strided transposed() const { return {data, column_stride, row_stride, element}; }

  Byte* data = nullptr;
  Index row_stride = 0;
  Index column_stride = 0;
  Element element = Element::kFloat;
};

using Matrix = Strided<const char>;
using MutableMatrix = Strided<char>;

/// `count` rounded up to a multiple of `unit`.
constexpr Index round_up(Index count, Index unit) { return (count + unit - 1) / unit * unit; }

/// What a packed operand of a product holds, 32 bits each: the float32 of one level of its depth,
/// or the bfloat16 of two, the first in the lower half.
enum class Operand : std::int32_t { kFloat, kBFloat16 };

/// The number of those for a depth.
constexpr Index packed_depth(Index depth, Operand operand) {
  return operand == Operand::kFloat ? depth : (depth + 1) / 2;
}

}  // namespace slotcon::kernel::cpu

#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/pack.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// Loads `count` <= kWidth rows of `lanes` <= kWidth elements, zeros beyond, and gives them to
/// `store`. The rows have to be contiguous.
template <Index kBytes, class Store>
SLOTCON_SIMD_INLINE void move_rows(Matrix from, Index count, Index lanes, const Store& store) {
  Vector rows[kWidth];
#pragma GCC unroll 16
  for (Index i = 0; i < kWidth; ++i) {
    rows[i] = load_first_of<kBytes>(from.at(i, 0), from.element, i < count ? lanes : 0);
  }
  store.template put<kBytes>(rows, count, lanes);
}

/// The same where the columns are.
template <Index kBytes, class Store>
SLOTCON_SIMD_INLINE void move_columns(Matrix from, Index count, Index lanes, const Store& store) {
  Vector rows[kWidth];
#pragma GCC unroll 16
  for (Index i = 0; i < kWidth; ++i) {
    rows[i] = load_first_of<kBytes>(from.at(0, i), from.element, i < lanes ? count : 0);
  }
  transpose(rows);
  store.template put<kBytes>(rows, count, lanes);
}

/// The same of a matrix in any order.
template <Index kBytes, class Store>
SLOTCON_SIMD_INLINE void move_elements(Matrix from, Index count, Index lanes, const Store& store) {
  if (from.column_stride == 1) {
    move_rows<kBytes>(from, count, lanes, store);
  } else if (from.row_stride == 1) {
    move_columns<kBytes>(from, count, lanes, store);
  } else {
    Vector rows[kWidth] = {};
    for (Index i = 0; i < count; ++i) {
      for (Index j = 0; j < lanes; ++j)
        rows[i][j] = load_first_of<kBytes>(from.at(i, j), from.element, 1)[0];
    }
    store.template put<kBytes>(rows, count, lanes);
  }
}

/// The same of elements of any type. `store` is compiled once for each way to load, so that a block
/// stays in registers.
template <class Store>
SLOTCON_SIMD_INLINE void move_block(Matrix from, Index count, Index lanes, const Store& store) {
  if (from.element == Element::kFloat) {
    move_elements<4>(from, count, lanes, store);
  } else {
    move_elements<2>(from, count, lanes, store);
  }
}

/// Writes a block to a matrix whose rows are contiguous.
struct StoreRows {
  MutableMatrix to;

  template <Index>
  SLOTCON_SIMD_INLINE void put(const Vector (&rows)[kWidth], Index count, Index lanes) const {
    if (count == kWidth && lanes == kWidth && to.element == Element::kFloat) {
#pragma GCC unroll 16
      for (Index i = 0; i < kWidth; ++i) store(reinterpret_cast<float*>(to.at(i, 0)), rows[i]);
    } else {
      for (Index i = 0; i < count; ++i) store_elements(to.at(i, 0), to.element, rows[i], lanes);
    }
  }
};

/// to[row][column] = from[row][column], whatever the order and the type of either.
SLOTCON_SIMD inline void copy(Matrix from, Index rows, Index columns, MutableMatrix to) {
  if (to.column_stride != 1 && to.row_stride == 1) {
    copy(from.transposed(), columns, rows, to.transposed());
    return;
  }
  if (to.column_stride != 1) {
    for (Index row = 0; row < rows; ++row) {
      for (Index column = 0; column < columns; ++column) {
        store_elements(to.at(row, column), to.element,
                       load_elements(from.at(row, column), from.element, 1), 1);
      }
    }
    return;
  }
  for (Index row = 0; row < rows; row += kWidth) {
    for (Index column = 0; column < columns; column += kWidth) {
      move_block(from.from(row, column), std::min(kWidth, rows - row),
                 std::min(kWidth, columns - column), StoreRows{to.from(row, column)});
    }
  }
}

/// Two levels of a depth in one: see Operand. Those that were bfloat16, which are the only elements
/// of 16 bits that are packed as such, need no rounding.
template <Index kBytes>
SLOTCON_SIMD_INLINE Vector pair(Vector first, Vector second) {
  if constexpr (kBytes == 2) {
    return reinterpret_cast<Vector>((reinterpret_cast<BitVector>(first) >> 16) |
                                    reinterpret_cast<BitVector>(second));
  } else {
    return reinterpret_cast<Vector>(to_bfloat16(first) | (to_bfloat16(second) << 16));
  }
}

/// The level of a depth that is even or odd in a pair.
SLOTCON_SIMD_INLINE Vector first_of_pair(Vector pair) {
  return reinterpret_cast<Vector>(reinterpret_cast<BitVector>(pair) << 16);
}
SLOTCON_SIMD_INLINE Vector second_of_pair(Vector pair) {
  return reinterpret_cast<Vector>(reinterpret_cast<BitVector>(pair) & 0xffff0000);
}

/// Writes a block as levels of a packed panel. A vector wider than the panel reaches into the next
/// level, which is written after it.
template <Index kPanel>
struct StoreLevels {
  float* to;
  Operand operand;

  template <Index kBytes>
  SLOTCON_SIMD_INLINE void put(const Vector (&rows)[kWidth], Index count, Index /*lanes*/) const {
#ifdef SLOTCON_SIMD_BFLOAT16
    if (operand == Operand::kBFloat16) {
#pragma GCC unroll 8
      for (Index i = 0; i < kWidth; i += 2) {
        if (i < count) store(to + i / 2 * kPanel, pair<kBytes>(rows[i], rows[i + 1]));
      }
      return;
    }
#endif
#pragma GCC unroll 16
    for (Index i = 0; i < kWidth; ++i) {
      if (i < count) store(to + i * kPanel, rows[i]);
    }
  }
};

/// One panel of pack(), of `lanes` <= kPanel columns.
template <Index kPanel>
SLOTCON_SIMD inline void pack_panel(Matrix from, Index depth, Index lanes, float* to,
                                    Operand operand) {
  for (Index d = 0; d < depth; d += kWidth) {
    float* const levels = to + packed_depth(d, operand) * kPanel;
    for (Index first = 0; first < kPanel; first += kWidth) {
      const Index width = std::min(kWidth, kPanel - first);
      move_block(from.from(d, first), std::min(kWidth, depth - d),
                 std::clamp<Index>(lanes - first, 0, width),
                 StoreLevels<kPanel>{levels + first, operand});
    }
  }
}

/// Floats to allocate for pack<kPanel>() of a matrix of `depth` rows and `columns` columns.
template <Index kPanel>
constexpr Index packed_size(Index depth, Index columns, Operand operand) {
  return round_up(columns, kPanel) * packed_depth(depth, operand) + kWidth;
}

/// The columns of a matrix [depth, columns] in panels of kPanel, each of them contiguous:
/// to[panel][packed depth][kPanel], the columns that are missing in the last panel 0.
template <Index kPanel>
SLOTCON_SIMD inline void pack(Matrix from, Index depth, Index columns, float* to, Operand operand) {
  static_assert(kPanel <= kWidth || kPanel % kWidth == 0);
  for (Index first = 0; first < columns; first += kPanel) {
    pack_panel<kPanel>(from.from(0, first), depth, std::min(kPanel, columns - first),
                       to + first * packed_depth(depth, operand), operand);
  }
}

/// Lanes from `first` on of one level of a packed panel.
template <Index kPanel>
SLOTCON_SIMD_INLINE Vector load_level(const float* panel, Index level, Index first,
                                      Operand operand) {
  if (operand == Operand::kFloat) return load(panel + level * kPanel + first);
  const Vector both = load(panel + level / 2 * kPanel + first);
  return level % 2 == 0 ? first_of_pair(both) : second_of_pair(both);
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
