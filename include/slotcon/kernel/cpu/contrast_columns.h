// The contrast of blocks of columns, each with all rows, which it meets block by block.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_CONTRAST_COLUMNS_H
#define SLOTCON_KERNEL_CPU_CONTRAST_COLUMNS_H
#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/contrast.h>
#include <slotcon/kernel/cpu/exp.h>
#include <slotcon/kernel/cpu/gemm.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/unit_rows.h>

namespace slotcon::kernel::cpu {

/// Columns that go through the rows together: enough to pay for packing the rows, few enough for
/// the second cache.
constexpr Index kColumnsOfContrast = 256;

/// Blocks of columns are multiples of this, the widest panel of multiply().
constexpr Index kColumnsOfPanel = 32;

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/contrast_columns.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>

namespace slotcon::kernel::cpu {

SLOTCON_CPU_KERNEL void compute(const Contrast& contrast, Index columns) {
  const auto contrast_columns = SLOTCON_SIMD_SELECT(contrast_columns);
  const Index threads = at::get_num_threads();
  const Index blocks = at::divup(at::divup(columns, kColumnsOfContrast), threads) * threads;
  const Index width = round_up(at::divup(columns, blocks), kColumnsOfPanel);
  at::parallel_for(0, at::divup(columns, width), 1, [&](Index begin, Index end) {
    Scratch scratch;
    for (Index block = begin; block < end; ++block) {
      const Index first = block * width;
      scratch.rewind();
      contrast_columns(contrast, first, std::min(width, columns - first), scratch);
    }
  });
}

}  // namespace slotcon::kernel::cpu
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

static_assert(kColumnsOfPanel % kTileColumns == 0);

/// The memory of contrast_columns(). A panel is kTileColumns columns.
struct ContrastMemory {
  static constexpr Index kRows = kChunk / 2;  // of a step

  ContrastMemory(Scratch& scratch, Index dim, Index panels)
      : columns(scratch.take(right_size(dim, panels * kTileColumns))),
        rows(scratch.take(left_size(dim, kRows))),
        rows_to_mix(scratch.take(left_size(kRows, dim))),
        unit(scratch.take(std::max(kRows, panels * kTileColumns) * dim)),
        cosines(scratch.take(kRows * kTileColumns)),
        mixtures(scratch.take(panels * kTileColumns * dim)) {}

  float* const columns;      // packed [panel][D][kTileColumns]
  float* const rows;         // packed for the cosines
  float* const rows_to_mix;  // packed for the mixtures
  float* const unit;         // what is packed next
  float* const cosines;      // [kRows,kTileColumns], later e: a packed panel as it is
  float* const mixtures;     // [panel][D][kTileColumns]
};

/// The marked e of one panel, whose columns begin at `column`, among those of the rows from `row`
/// on.
inline void pick_marked(const Contrast& contrast, Index column, Index columns, Index row,
                        Index rows, const float* exponentials) {
  for (Index i = 0; i < columns; ++i) {
    const Index marked = contrast.marked_row[column + i] - row;
    if (marked < 0 || marked >= rows) continue;
    contrast.marked[column + i] = exponentials[marked * kTileColumns + i];
  }
}

/// e in place of the cosines of one panel; adds its sums over rows to `totals`.
SLOTCON_SIMD inline void exponentiate(const Contrast& contrast, Index row, Index rows,
                                      Index columns, float* cosines, double* totals) {
  Vector sums[2] = {};
  for (Index r = 0; r < rows; ++r) {
    const float weight = contrast.weights == nullptr ? 1.0f : contrast.weights[row + r];
    for (Index i = 0; i < 2; ++i) {
      float* place = cosines + r * kTileColumns + i * kWidth;
      const Vector e = exp_negative(load(place) * contrast.scale - contrast.scale) * weight;
      sums[i] += e;
      store(place, e);
    }
  }
  float sum[kTileColumns];
  store(sum, sums[0]);
  store(sum + kWidth, sums[1]);
  for (Index i = 0; i < columns; ++i) totals[i] += sum[i];
}

/// e - 1 in place of the e of each row of one panel with its own column.
inline void lower_own(const Contrast& contrast, Index column, Index columns, Index row, Index rows,
                      float* exponentials) {
  for (Index r = 0; r < rows; ++r) {
    const Index own = contrast.own_column[row + r] - column;
    if (own >= 0 && own < columns) exponentials[r * kTileColumns + own] -= 1;
  }
}

/// The rows that are packed in `memory`, `rows` from `row` on, against the packed columns of one
/// panel, `columns` from `column` on; `mixtures` is the panel's part of those of `memory`.
SLOTCON_SIMD inline void contrast_panel(const Contrast& contrast, const ContrastMemory& memory,
                                        Index row, Index rows, const float* packed, Index column,
                                        Index columns, float* mixtures) {
  multiply(memory.rows, packed, rows, kTileColumns, contrast.dim, memory.cosines, kTileColumns,
           false);
  exponentiate(contrast, row, rows, columns, memory.cosines, contrast.totals + column);
  if (contrast.marked_row != nullptr) {
    pick_marked(contrast, column, columns, row, rows, memory.cosines);
  }
  if (contrast.gradients == nullptr) return;
  if (contrast.own_column != nullptr) {
    lower_own(contrast, column, columns, row, rows, memory.cosines);
  }
  multiply(memory.rows_to_mix, memory.cosines, contrast.dim, kTileColumns, rows, mixtures,
           kTileColumns, row > 0);
}

/// The gradient by one column from its mixture of rows.
SLOTCON_SIMD inline void finish_gradient(const Contrast& contrast, Index column) {
  const Index dim = contrast.dim;
  float* const gradient = contrast.gradients + column * dim;
  if (contrast.marked_row != nullptr) {
    const Index marked = contrast.marked_row[column];
    const float* row = contrast.rows.vectors + marked * dim;
    const float inverse_norm = contrast.rows.inverse_norms[marked];
    const auto share = static_cast<float>(1 / contrast.totals[column]);
    for (Index d = 0; d < dim; ++d) gradient[d] = gradient[d] * share - row[d] * inverse_norm;
  }
  pass_unit_length(contrast.columns, column, dim, gradient);
}

/// All rows, at least one, against the columns from `first` on, of which there are `count`. What
/// comes out for a column does not depend on the columns beside it.
SLOTCON_SIMD inline void contrast_columns(const Contrast& contrast, Index first, Index count,
                                          Scratch& scratch) {
  const Index dim = contrast.dim;
  const ContrastMemory memory(scratch, dim, round_up(count, kTileColumns) / kTileColumns);
  const bool mix = contrast.gradients != nullptr;
  std::fill_n(contrast.totals + first, count, 0.0);
  unit_rows(contrast.columns, first, count, dim, memory.unit);
  pack_right({memory.unit, 1, dim}, dim, count, memory.columns);
  for (Index row = 0; row < contrast.num_rows; row += ContrastMemory::kRows) {
    const Index rows = std::min(ContrastMemory::kRows, contrast.num_rows - row);
    unit_rows(contrast.rows, row, rows, dim, memory.unit);
    const Matrix block{memory.unit, dim, 1};
    pack_left(block.transposed(), dim, rows, memory.rows);
    if (mix) pack_left(block, rows, dim, memory.rows_to_mix);
    for (Index i = 0; i < count; i += kTileColumns) {
      contrast_panel(contrast, memory, row, rows, memory.columns + i * dim, first + i,
                     std::min(kTileColumns, count - i), memory.mixtures + i * dim);
    }
  }
  for (Index i = 0; mix && i < count; i += kTileColumns) {
    const Index columns = std::min(kTileColumns, count - i);
    copy({memory.mixtures + i * dim, 1, kTileColumns}, columns, dim,
         {contrast.gradients + (first + i) * dim, dim, 1});
    for (Index j = 0; j < columns; ++j) finish_gradient(contrast, first + i + j);
  }
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
