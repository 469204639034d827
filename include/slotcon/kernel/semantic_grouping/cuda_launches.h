// What semantic grouping asks of its CUDA kernels: one function and one struct for each.
//
// B images of N positions, D dims, K slots. Arrays are dense, the last index moves fastest; those
// of type void* hold numbers of type `type`. Nothing here includes LibTorch or CUDA.
#pragma once

#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

using cuda::Error;
using cuda::Index;
using cuda::Scalar;
using cuda::Stream;

/// The elements of an array [B,D,N] that lie as far apart as it says.
struct Strides {
  Index image, dim, position;
};

/// Features with the dims of a position together, and the inverses of their norms, unless null.
struct Rows {
  Scalar type;
  Index images, dims, positions;
  const void* features;  // [B,D,N] by `strides`
  Strides strides;
  void* rows;           // [B,N,D]
  float* inverse_norm;  // [B,N]
};

/// Rows at unit length, and the inverses of their norms; either may be null.
struct UnitRows {
  Scalar from_type, type;  // of `from`: float32, or the same as `type`
  Index count, dims;
  const void* from;     // [count,D]
  void* units;          // [count,D]
  float* inverse_norm;  // [count]
};

/// Scores from the products of features and unit prototypes:
///     score = product / |x|        partition = sum_k e^((score - 1) / temperature)
/// and the slot with the largest one, the first of them.
struct Scores {
  Index rows, slots;
  float sharpness;            // 1 / temperature
  const float* inverse_norm;  // [rows]
  float* scores;              // [rows,K], products before
  float* inverse_partition;   // [rows]
  int* winners;               // [rows]
};

/// With a = softmax + eps:
///     total_k = sum_n a_kn         weight = a / total
/// and whether a slot wins any position.
struct Weights {
  Scalar type;
  Index images, slots, positions;
  float sharpness, eps;
  const float* scores;             // [B,N,K]
  const float* inverse_partition;  // [B,N]
  const int* winners;              // [B,N]
  void* weights;                   // [B,N,K]
  float* totals;                   // [B,K]
  bool* present;                   // [B,K]
};

/// The dot products of the rows of two tables.
struct RowDots {
  Scalar type;
  Index count, dims;
  const void *a, *b;  // [count,D]
  float* dots;        // [count]
};

/// With p the softmax, U = G_k . x_n, c_k = G_k . slot_k and v = p (U - c) / total:
///     slope = (v - p sum_k v) / temperature + H      the gradient of a score
struct Slopes {
  Scalar type;
  Index images, slots, positions;
  float sharpness, eps;
  const float* scores;             // [B,N,K]
  const float* inverse_partition;  // [B,N]
  const float* totals;             // [B,K]
  const float* products;           // [B,N,K]  U
  const float* offsets;            // [B,K]  c
  const float* grad_scores;        // [B,N,K]  H, or null
  void* slopes;                    // [B,N,K]
  void* weights;                   // [B,N,K]  a / total, or null
};

/// With y the features at unit length:
///     dx = pooled + (pulled - (pulled . y) y) / |x|
struct FeatureGradient {
  Scalar type;
  Index images, dims, positions;
  const void* rows;           // [B,N,D]
  const float* inverse_norm;  // [B,N]
  const float* pooled;        // [B,N,D]  sum_k weight G_k, or null
  const float* pulled;        // [B,N,D]  sum_k slope s_k
  void* gradient;             // [B,D,N] by `strides`
  Strides strides;
};

/// With u the gradient of the prototypes at unit length, s:
///     ds = (u - (u . s) s) / |prototype|
struct PrototypeGradient {
  Index slots, dims;
  const float* prototypes;  // [K,D]
  const float* grad_units;  // [K,D]
  float* gradient;          // [K,D]
};

struct Launches {
  Error (*rows)(const Rows&, Stream);
  Error (*unit_rows)(const UnitRows&, Stream);
  Error (*scores)(const Scores&, Stream);
  Error (*weights)(const Weights&, Stream);
  Error (*row_dots)(const RowDots&, Stream);
  Error (*slopes)(const Slopes&, Stream);
  Error (*feature_gradient)(const FeatureGradient&, Stream);
  Error (*prototype_gradient)(const PrototypeGradient&, Stream);
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
