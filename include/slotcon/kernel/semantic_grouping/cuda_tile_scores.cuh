// Scores by tensor cores; what a softmax needs of them, and which is the largest, in the same pass.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_tiles.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

/// Prototypes come by narrow chunks, so that there is room for many of them.
constexpr int kScoreChunkBytes = 128;

using ScoreSums = cuda::BlockSums<kDown, kScoreColumns>;

/// Shared memory: the features of the block, prototypes on their way through, and what warps that
/// are beside each other find out of a row.
template <class Tiles>
struct ScoresMemory {
  using Number = typename Tiles::Number;
  static constexpr int kStages = 2;
  static constexpr int kFeatures = kTilePositions * Tiles::kStride;
  static constexpr int kStage = kScoreColumns * Tiles::kStride;
  static constexpr int kChunks = kMostDims / Tiles::kChunk;
  static constexpr int kSaid = ScoreSums::kAcross * kTilePositions;
  static constexpr std::size_t kBytes = (kChunks * kFeatures + kStages * kStage) * sizeof(Number) +
                                        kSaid * (sizeof(unsigned long long) + sizeof(float));

  __device__ Number* features(int chunk) const { return numbers + chunk * kFeatures; }
  __device__ Number* stage(int stage) const { return features(kChunks) + stage * kStage; }
  __device__ unsigned long long* ranks() const {
    return reinterpret_cast<unsigned long long*>(stage(kStages));
  }
  __device__ float* partitions() const { return reinterpret_cast<float*>(ranks() + kSaid); }

  Number* numbers = cuda::shared_memory<Number>();
};

/// Fetches the prototypes that a block needs: chunk after chunk of tile after tile.
template <class Tiles>
class PrototypeTiles {
 public:
  __device__ PrototypeTiles(const TileScores& call, int first_tile, int end_tile)
      : call_(call), tile_(first_tile), end_tile_(end_tile) {}

  __device__ void operator()(int stage) {
    if (tile_ == end_tile_) return;
    const auto source =
        chunk_of<Tiles>(call_.units, call_.slots, call_.length, tile_ * kScoreColumns, chunk_);
    source.template copy<kScoreColumns, Tiles::kChunkBytes>(memory_.stage(stage),
                                                            Tiles::kStride * Tiles::kBytes);
    if (++chunk_ < chunks_of<Tiles>(call_.length)) return;
    chunk_ = 0;
    ++tile_;
  }

 private:
  const ScoresMemory<Tiles> memory_;
  const TileScores& call_;
  int tile_, chunk_ = 0;
  const int end_tile_;
};

/// Scores on their way out, and what is kept of the rows of a thread.
class ScoreRows {
 public:
  __device__ ScoreRows(const TileScores& call, Index first_row)
      : call_(call), first_row_(first_row) {
#pragma unroll
    for (int line = 0; line < ScoreSums::kLines; ++line) {
      const Index row = first_row + ScoreSums::row(line);
      inverse_norms_[line] = inside(row, call.rows) ? call.inverse_norm[row] : 0.0f;
      partitions_[line] = 0;
      best_[line] = kBelowAllScores;
      winners_[line] = 0;
    }
  }

  /// Takes in the products with the slots from `first_slot` on.
  __device__ void take(const ScoreSums& products, int first_slot) {
    const int slots = static_cast<int>(call_.slots);
#pragma unroll
    for (int line = 0; line < ScoreSums::kLines; ++line) {
      const Index row = first_row_ + ScoreSums::row(line);
#pragma unroll
      for (int j = 0; j < ScoreSums::kWidth; ++j) {
        const int slot = first_slot + ScoreSums::column(j);
        const float* const pair = products.pair(line, j);
        const float scores[2] = {pair[0] * inverse_norms_[line], pair[1] * inverse_norms_[line]};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (inside(slot + i, slots)) see(line, scores[i], slot + i);
        }
        if (!inside(row, call_.rows)) continue;
        store_pair(call_.scores + row * call_.width, slot, call_.width, scores[0], scores[1]);
      }
    }
  }

  /// What this part of the slots says of the rows, from all warps that have slots of a row.
  __device__ void store(Index part, unsigned long long* ranks, float* partitions) const {
#pragma unroll
    for (int line = 0; line < ScoreSums::kLines; ++line) {
      const float partition = cuda::quad_combined(partitions_[line], cuda::Sum());
      const auto rank = cuda::quad_combined(rank_of(best_[line], winners_[line]), cuda::Maximum());
      if (lane_index() % 4 != 0) continue;
      const int at = warp_index() / kDown * kTilePositions + ScoreSums::row(line);
      partitions[at] = partition;
      ranks[at] = rank;
    }
    __syncthreads();
    const int row = static_cast<int>(threadIdx.x);
    if (row >= kTilePositions || !inside(first_row_ + row, call_.rows)) return;
    float partition = 0;
    unsigned long long rank = 0;
#pragma unroll
    for (int at = row; at < ScoreSums::kAcross * kTilePositions; at += kTilePositions) {
      partition += partitions[at];
      rank = cuda::Maximum()(rank, ranks[at]);
    }
    call_.partitions[part * call_.rows + first_row_ + row] = partition;
    call_.ranks[part * call_.rows + first_row_ + row] = static_cast<std::int64_t>(rank);
  }

 private:
  static constexpr float kBelowAllScores = -2;

  /// A thread sees the slots of a row in their order: of equal scores the first one stays, and a
  /// NaN is above all numbers.
  __device__ void see(int line, float score, int slot) {
    partitions_[line] += cuda::exponential(score, call_.sharpness);
    const float best = best_[line];
    if (score <= best || best != best) return;
    best_[line] = score;
    winners_[line] = slot;
  }

  const TileScores& call_;
  const Index first_row_;
  float inverse_norms_[ScoreSums::kLines], partitions_[ScoreSums::kLines];
  float best_[ScoreSums::kLines];
  int winners_[ScoreSums::kLines];
};

/// A block for kTilePositions rows and a part of the slots, by tiles of kScoreColumns.
template <class Tiles>
__global__ void __launch_bounds__(kBlockThreads, Tiles::kBlocks)
    tile_scores_kernel(TileScores call) {
  using Memory = ScoresMemory<Tiles>;
  const Index row_tiles = cuda::divided_up(call.rows, kTilePositions);
  const Index part = blockIdx.x / row_tiles;
  const Index first_row = blockIdx.x % row_tiles * kTilePositions;
  const Index slot_tiles = cuda::divided_up(call.slots, kScoreColumns);
  const auto first_tile = static_cast<int>(slot_tiles * part / call.parts);
  const auto end_tile = static_cast<int>(slot_tiles * (part + 1) / call.parts);
  const int chunks = chunks_of<Tiles>(call.length);

  const Memory memory;
  copy_features<Tiles>(call.features, call.rows, call.length, first_row, memory);
  cuda::TileStream<Memory::kStages, PrototypeTiles<Tiles>> stream({call, first_tile, end_tile});
  ScoreRows rows(call, first_row);
  for (int tile = first_tile; tile < end_tile; ++tile) {
    ScoreSums products = {};
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int stage = stream.next();
      Tiles::product(products, memory.features(chunk), memory.stage(stage));
    }
    rows.take(products, tile * kScoreColumns);
  }
  rows.store(part, memory.ranks(), memory.partitions());
}

inline Error launch_tile_scores(const TileScores& call, Stream stream) {
  return by_tiles<kScoreChunkBytes>(call.arithmetic, [&](auto type) {
    using Tiles = typename decltype(type)::type;
    return cuda::launch(tile_scores_kernel<Tiles>,
                        cuda::divided_up(call.rows, kTilePositions) * call.parts, kBlockThreads,
                        ScoresMemory<Tiles>::kBytes, stream, call);
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
