// What slot InfoNCE asks of its CUDA kernels.
//
// Rows of D dims, of which a device knows how many count: a `count` is read by the kernels, null
// where all of the capacity does. Arrays are dense, the last index moves fastest. Nothing here
// includes LibTorch or CUDA.
#pragma once

#include <slotcon/kernel/cuda/mean.h>
#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::slot_info_nce {
inline namespace SLOTCON_VERSIONED {

using cuda::Arithmetic;
using cuda::Error;
using cuda::Index;
using cuda::Stream;

/// Columns and rows go through the kernel by tiles of as many, dims by chunks of 128 bytes.
constexpr int kTile = 64;
constexpr int kChunkBytes = 128;

/// The dims of mixtures that the registers of a block hold: a strip of them.
constexpr int kStrip = 256;

/// The pieces of work that a kernel is cut into at least, where there are as many tiles: two for
/// each processor of an H200, on any GPU, so that the sums are the same on all.
constexpr int kPieces = 264;

/// The numbers of a row at unit length, which is padded with zeros.
constexpr Index padded_length(Index dims, Arithmetic arithmetic) {
  const bool half = arithmetic == Arithmetic::kBFloat16 || arithmetic == Arithmetic::kFloat16;
  const Index chunk = kChunkBytes / (half ? 2 : 4);
  return (dims + chunk - 1) / chunk * chunk;
}

/// The tiles of rows or columns.
constexpr Index tiles_of(Index count) { return (count + kTile - 1) / kTile; }

/// The pieces that the contrast of this many columns is cut into at most.
constexpr Index pieces_of(Index capacity) {
  return tiles_of(capacity) > kPieces ? tiles_of(capacity) : kPieces;
}

constexpr Index strips_of(Index length) { return (length + kStrip - 1) / kStrip; }

/// Vectors [capacity,D] of which the first `count` are there.
struct Set {
  Index capacity;
  const std::int64_t* count;  // [1], or null
};

/// Vectors at unit length, in the numbers that are multiplied, and the inverses of their norms.
/// Zeros pad the rows to `length`, and their count to whole tiles.
struct Units {
  Arithmetic arithmetic;
  Set set;
  Index dims, length;
  const void* vectors;   // [capacity,D]
  void* units;           // [tiles_of(capacity) kTile, length]
  float* inverse_norms;  // [capacity]
};

/// What a pass over the rows is for: the loss alone, the loss and the gradient by its columns,
/// which are the queries, or the gradient by its columns, which are the keys.
enum class Pass { kLoss, kByQueries, kByKeys };

/// Columns x_c against rows y_r, unit vectors:
///     e_rc = weight_r exp((<y_r, x_c> - 1) / temperature)
///     total_c = sum_r e_rc    mixture_c = sum_r e_rc y_r
/// and of Pass::kByKeys less the y_r whose positive is c.
/// Each piece of the work gives its part of the sums for a tile of columns; each strip of the dims
/// gives the same totals.
struct Contrast {
  Arithmetic arithmetic;
  Pass pass;
  Set columns, rows;
  Index pieces, length;  // of the units' rows
  float sharpness;       // 1 / temperature
  const void *column_units, *row_units;
  const std::int64_t* positive;  // [queries], whichever side they are
  const float* weights;          // [rows] of Pass::kByKeys, else 1
  float* totals;                 // [strips,pieces,kTile], not of Pass::kByKeys
  float* marked;                 // [strips,pieces,kTile]: the e of the positive; likewise
  float* mixtures;               // [strips,pieces,kTile,width of a strip], not of Pass::kLoss
};

/// The gradient by columns, from the parts of their contrast with the rows. Of queries, which have
/// totals:
///     loss_i = log(total / e_positive)    g = mixture / total - k_positive
/// Of keys, which have none, g is the mixture. Then, with n queries:
///     gradient = 2 / n (g - <g, x> x) / |vector|
struct Gradient {
  Arithmetic arithmetic;
  Set columns, rows;
  Set queries;  // the mean over which is the loss
  Index pieces, dims, length;
  const void* vectors;         // [columns,D]
  const float* inverse_norms;  // [columns]
  const void* row_vectors;     // [rows,D]; this and all to `inverse_totals` of queries alone
  const float* row_inverse_norms;
  const std::int64_t* positive;  // [columns]
  const float *totals, *marked;
  float* losses;          // [columns]
  float* inverse_totals;  // [columns]
  const float* mixtures;
  float* gradient;  // [columns,D], 0 beyond the count; null: not asked for
};

struct Launches {
  Error (*units)(const Units&, Stream);
  Error (*contrast)(const Contrast&, Stream);
  Error (*gradient)(const Gradient&, Stream);
  Error (*mean)(const cuda::Mean&, Stream);
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::slot_info_nce
