// What the kernels of semantic grouping have in common that make matrix products, tile by tile.
#pragma once

#include <slotcon/kernel/cuda/tile_stream.cuh>
#include <slotcon/kernel/cuda/tiles.cuh>
#include <slotcon/kernel/semantic_grouping/cuda_forward.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

static_assert(kTilePositions == cuda::kTileRows && kTileSlots == cuda::kTileRows);

/// The warps of a block along the rows of its sums; four are beside each other. Each so has more
/// columns to multiply what it reads of the rows with.
constexpr int kDown = 2;

/// A row of a tile of float32 scores, which are copied as they are.
constexpr int kScoreRowBytes = kTileSlots * static_cast<int>(sizeof(float));
constexpr int kScoreStride = kTileSlots + 4;
constexpr int kScoreStrideBytes = kScoreStride * static_cast<int>(sizeof(float));

/// visit(cuda::Type<Tiles>()) for the arithmetic that `arithmetic` names, with rows of chunks of
/// kChunkBytes.
template <int kChunkBytes, class Visitor>
Error by_tiles(Arithmetic arithmetic, const Visitor& visit) {
  switch (arithmetic) {
    case Arithmetic::kTf32:
      return visit(cuda::Type<cuda::Tf32Tiles<kChunkBytes, /*kRounded=*/false>>());
    case Arithmetic::kBFloat16:
      return visit(cuda::Type<cuda::HalfTiles<cuda::BFloat16, kChunkBytes>>());
    case Arithmetic::kFloat16:
      return visit(cuda::Type<cuda::HalfTiles<cuda::Float16, kChunkBytes>>());
    case Arithmetic::kFloat32:
      break;
  }
  return "an arithmetic that no tensor core knows";
}

/// What a tile is copied of: rows in global memory, `stride` bytes apart, of which `rows` are there
/// and of each so many pieces. Beyond there are zeros.
struct Source {
  const void* from;
  int stride, rows, pieces;

  /// To rows that lie `to_stride` bytes apart.
  template <int kRows, int kRowBytes>
  __device__ __forceinline__ void copy(void* to, int to_stride) const {
    cuda::copy_tile<kRows, kRowBytes>(static_cast<char*>(to), to_stride,
                                      static_cast<const char*>(from), stride,
                                      [&](int row, int piece) {
                                        const bool there = inside(row, rows);
                                        return there && inside(piece, pieces);
                                      });
  }
};

/// A chunk of the rows of a table [count,length] from `first` on.
template <class Tiles>
__device__ __forceinline__ Source chunk_of(const void* table, Index count, Index length,
                                           Index first, int chunk) {
  const int bytes = static_cast<int>(length) * Tiles::kBytes, skipped = chunk * Tiles::kChunkBytes;
  return {static_cast<const char*>(table) + first * bytes + skipped, bytes,
          static_cast<int>(count - first), (bytes - skipped) / cuda::kPieceBytes};
}

/// The chunks of a row.
template <class Tiles>
__device__ __forceinline__ int chunks_of(Index length) {
  return static_cast<int>(cuda::divided_up(length, Tiles::kChunk));
}

/// Starts to copy the rows of features that a block keeps, chunk by chunk, to
/// memory.features(chunk).
template <class Tiles, class Memory>
__device__ __forceinline__ void copy_features(const void* features, Index count, Index length,
                                              Index first, const Memory& memory) {
#pragma unroll 1
  for (int chunk = 0; chunk < chunks_of<Tiles>(length); ++chunk) {
    chunk_of<Tiles>(features, count, length, first, chunk)
        .template copy<kTilePositions, Tiles::kChunkBytes>(memory.features(chunk),
                                                           Tiles::kStride * Tiles::kBytes);
  }
}

/// The scores [B,N,width] of an image, from a position and a slot on.
__device__ __forceinline__ Source scores_of(const float* scores, Index image, Index positions,
                                            Index width, int first_position, int first_slot) {
  constexpr int kBytes = static_cast<int>(sizeof(float));
  return {scores + (image * positions + first_position) * width + first_slot,
          static_cast<int>(width) * kBytes, static_cast<int>(positions) - first_position,
          (static_cast<int>(width) - first_slot) * kBytes / cuda::kPieceBytes};
}

/// Stores two neighbours of a row, of which both are there or none.
template <class T>
__device__ __forceinline__ void store_pair(T* row, int index, Index length, float first,
                                           float second) {
  if (!inside<Index>(index / 2, length / 2)) return;
  const cuda::Vector<T, 2> pair{{cuda::from_float<T>(first), cuda::from_float<T>(second)}};
  cuda::store(row + index, pair);
}

/// Loads them; 0 if they are not there.
__device__ __forceinline__ cuda::Vector<float, 2> load_pair(const float* row, int index,
                                                            Index length) {
  if (!inside<Index>(index / 2, length / 2)) return {};
  return cuda::load<2>(row + index);
}

/// visit(line, chunk, column, pair) of each pair of the sums that a thread has for the chunks of a
/// row: they are at `column` of the chunk and the next.
template <class Sums, int kChunks, class Visitor>
__device__ __forceinline__ void for_each_pair(Sums (&sums)[kChunks], const Visitor& visit) {
#pragma unroll
  for (int i = 0; i < kChunks * Sums::kWidth; ++i) {
    const int chunk = i / Sums::kWidth, j = i % Sums::kWidth;
#pragma unroll
    for (int line = 0; line < Sums::kLines; ++line) {
      visit(line, chunk, Sums::column(j), sums[chunk].pair(line, j));
    }
  }
}

/// visit(sums[chunk]): registers have no index that is not known when the code is made.
template <class Sums, int kChunks, class Visitor>
__device__ __forceinline__ void with_chunk(Sums (&sums)[kChunks], int chunk, const Visitor& visit) {
#pragma unroll
  for (int i = 0; i < kChunks; ++i) {
    if (i == chunk) visit(sums[i]);
  }
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
