// Tiles on their way from global to shared memory, while the block computes with those before.
#pragma once

#include <slotcon/kernel/cuda/rows.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

/// Rows are copied piece by piece.
constexpr int kPieceBytes = 16;

/// The piece of each row of kRowBytes that a thread copies.
template <int kRowBytes>
__device__ __forceinline__ int own_piece() {
  return static_cast<int>(threadIdx.x) % (kRowBytes / kPieceBytes);
}

/// Starts to copy kRows rows of kRowBytes, by the whole block: zeros where valid(row, piece) says
/// no. Strides are those of the rows.
template <int kRows, int kRowBytes, class Number, class Valid>
__device__ __forceinline__ void copy_tile(Number* to, int to_stride, const Number* from,
                                          int from_stride, const Valid& valid) {
  constexpr int kPieces = kRowBytes / kPieceBytes, kRowsAtOnce = kBlockThreads / kPieces;
  constexpr int kNumbers = kPieceBytes / static_cast<int>(sizeof(Number));
  const int first = static_cast<int>(threadIdx.x) / kPieces;
  const int piece = own_piece<kRowBytes>();
  from += first * from_stride + piece * kNumbers;
  to += first * to_stride + piece * kNumbers;
#pragma unroll
  for (int row = 0; row < kRows; row += kRowsAtOnce) {
    copy_async<kPieceBytes>(to + row * to_stride, from + row * from_stride,
                            valid(first + row, piece));
  }
}

/// The tiles that a block needs, in the order in which it does, each as fetch(stage) starts to copy
/// it: kStages - 1 steps before it is needed.
template <int kStages, class Fetch>
class TileStream {
 public:
  /// What the block copied before comes with the first tile.
  __device__ explicit TileStream(const Fetch& fetch) : fetch_(fetch) {
    for (int i = 0; i < kStages - 1; ++i) fetch_next();
  }

  /// The stage in which the next tile has arrived, for all threads. It is there until the next
  /// call.
  __device__ int next() {
    wait_copies<kStages - 2>();
    __syncthreads();
    fetch_next();
    return stage_;  // the one to be filled after those that are on their way
  }

 private:
  __device__ void fetch_next() {
    fetch_(stage_);
    commit_copies();
    stage_ = stage_ + 1 == kStages ? 0 : stage_ + 1;
  }

  Fetch fetch_;
  int stage_ = 0;
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
