// What semantic grouping asks of its CUDA kernels: one function and one struct for each.
//
// B images of N positions, D dims, K slots. Arrays are dense, the last index moves fastest; those
// of type void* hold numbers of type `type`. Nothing here includes LibTorch or CUDA.
#pragma once

#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

using cuda::Arithmetic;
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
  Index length;          // of a row: D, or more, up to the next multiple of 8, and then zeros
  const void* features;  // [B,D,N] by `strides`
  Strides strides;
  void* rows;           // [B,N,length]
  float* inverse_norm;  // [B,N]
};

/// Rows at unit length, and the inverses of their norms; either may be null.
struct UnitRows {
  Scalar from_type, type;  // of `from`: float32, or the same as `type`
  Index count, dims;
  Index length;         // of a row of units: D, or more, and then zeros
  const void* from;     // [count,D]
  void* units;          // [count,length]
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

// ---- With matrix products inside the kernels, by tensor cores ----
//
// Rows are copied by pieces of 16 bytes. So they are longer than they would be: those of D dims are
// `length` long, with zeros at the end, and those of K slots `width`, with anything finite there.

constexpr Index kMostDims = 256;  // of which the registers of a block hold the sums for a tile

/// Blocks work on tiles of as many positions and slots; where scores are made, of more slots.
constexpr int kTilePositions = 64, kTileSlots = 64, kScoreColumns = 128;

/// Scores of features and unit prototypes, and what each part of the slots says of a position: its
/// part of the partition, and as a rank which of its slots has the largest score.
struct TileScores {
  Arithmetic arithmetic;
  Index rows, slots, length, width, parts;
  float sharpness;
  const void* features;       // [rows,length]
  const void* units;          // [K,length]
  const float* inverse_norm;  // [rows]
  float* scores;              // [rows,width]
  float* partitions;          // [parts,rows]
  std::int64_t* ranks;        // [parts,rows]
};

/// With a = softmax + eps, from the scores and what the parts say:
///     total_k = sum_n a_kn         slot_k = sum_n a_kn x_n / total_k
/// and whether a slot wins any position.
struct TileMeans {
  Arithmetic arithmetic;
  Index images, slots, positions, length, width, parts;
  float sharpness, eps;
  const float* scores;        // [B,N,width]
  const float* partitions;    // [parts,B,N]
  const std::int64_t* ranks;  // [parts,B,N]
  const void* features;       // [B,N,length]
  void* means;                // [B,K,length]  the slots
  float* inverse_partition;   // [B,N]
  float* totals;              // [B,K]
  bool* present;              // [B,K]
};

/// With pi = softmax / total, U = G_k . x_n, c_k = G_k . slot_k and y the features at unit length:
///     t_n = x_n . sum_k pi G_k - sum_k pi c_k               which is sum_k pi (U - c)
///     slope = (pi (U - c) - softmax t) / temperature + H    the gradient of a score
///     dx = sum_k pi G_k + spread + (pulled - (pulled . y) y) / |x|,   pulled = sum_k slope s_k
/// dx has the sum over pi G that t needs, so that U need not be made a second time.
struct TileGradient {
  Arithmetic arithmetic;
  Index images, slots, positions, dims, length, width;
  float sharpness;
  const float* scores;             // [B,N,width]
  const float* inverse_norm;       // [B,N]
  const float* inverse_partition;  // [B,N]
  const float* inverse_totals;     // [B,K]
  const float* offsets;            // [B,K]  c
  const float* grad_scores;        // [B,N,width]  H, or null
  const void* features;            // [B,N,length]
  const void* units;               // [K,length]
  const void* grad_slots;          // [B,K,length]  G
  const float* spread;             // [B,length]  sum_k eps / total G_k: the same for all positions
  void* slopes;                    // [B,N,width], or null
  void* gradient;                  // [B,D,N] by `strides`, or null
  Strides strides;
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
  Error (*tile_scores)(const TileScores&, Stream);
  Error (*tile_means)(const TileMeans&, Stream);
  Error (*tile_gradient)(const TileGradient&, Stream);
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
