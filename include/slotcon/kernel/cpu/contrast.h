// Sums of exponentials of the cosines between two sets of vectors, without the matrix of cosines.
#pragma once

#include <slotcon/kernel/cpu/compiled.h>
#include <slotcon/kernel/cpu/types.h>

namespace slotcon::kernel::cpu {

/// The columns x_c of a contrast against its rows y_r, all taken at unit length:
/// e_rc = weight_r exp(l_rc) of the logits l_rc = (<y_r, x_c> - 1) / temperature.
///
/// Asked for are the totals sum_r e_rc and, for the gradients, mixtures g_c of the rows:
///     sum_r e_rc y_r / total_c - y_marked       where each column has a marked row
///     sum_r e_rc y_r - sum_{r owned by c} y_r   where each row has a column that owns it
/// What comes out for a column of length |x| is (g - <g, x_c> x_c) / |x|.
struct Contrast {
  Directions columns;  // [C,D]
  Directions rows;     // [R,D]
  Index num_rows, dim;
  float scale;              // 1 / temperature
  const float* weights;     // [R], or null for 1
  const Index* marked_row;  // [C], or null
  float* marked;            // [C] the e of marked_row, unless that is null
  const Index* own_column;  // [R], or null
  double* totals;           // [C]
  float* gradients;         // [C,D], or null: not asked for
};

/// Computes the contrast of `columns` columns, shared evenly between the threads; the result does
/// not depend on their number.
SLOTCON_CPU_KERNEL void compute(const Contrast& contrast, Index columns);

}  // namespace slotcon::kernel::cpu

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/cpu/contrast_columns.h>
#endif
