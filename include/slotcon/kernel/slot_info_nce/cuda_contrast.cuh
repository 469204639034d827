// The contrast of columns with rows on a GPU, tile by tile, without the matrix of cosines.
#pragma once

#include <slotcon/kernel/slot_info_nce/cuda_work.cuh>

namespace slotcon::kernel::slot_info_nce {
inline namespace SLOTCON_VERSIONED {

/// Shared memory: tiles on their way through, the weights of a tile, the totals of each thread, for
/// which there are no registers, and those of two halves of the rows.
template <class Tiles>
struct ContrastMemory {
  using Number = typename Tiles::Number;
  static constexpr int kStages = 3;
  static constexpr int kLeft = kTile * Tiles::kStride;
  static constexpr int kRight = kTile * Tiles::kMixStride;
  static constexpr int kWeights = kTile * Tiles::kWeightStride;
  static constexpr std::size_t kBytes = (kStages * (kLeft + kRight) + kWeights) * sizeof(Number) +
                                        2 * kBlockThreads * sizeof(double) +
                                        2 * kTile * sizeof(float);

  __device__ Number* left(int stage) const { return tiles + stage * (kLeft + kRight); }
  __device__ Number* right(int stage) const { return left(stage) + kLeft; }
  __device__ Number* weights() const { return left(kStages); }
  __device__ double* totals() const { return reinterpret_cast<double*>(weights() + kWeights); }
  __device__ float* halves() const {
    return reinterpret_cast<float*>(totals() + 2 * kBlockThreads);
  }

  Number* tiles = cuda::shared_memory<Number>();
};

/// Fetches the tiles that a block needs: for each tile of rows the chunks of both sides for the
/// cosines, then the chunks of the rows that are mixed.
template <class Tiles>
class ContrastTiles {
 public:
  using Number = typename Tiles::Number;

  __device__ ContrastTiles(const Number* columns, const Number* rows, int stride, int chunks,
                           int first_mixed, int mixed, int tiles)
      : columns_(columns),
        rows_(rows),
        stride_(stride),
        chunks_(chunks),
        steps_(chunks + mixed),
        first_mixed_(first_mixed),
        tiles_(tiles) {}

  __device__ void operator()(int stage) {
    if (tiles_ == 0) return;
    const bool mixed = step_ >= chunks_;
    const int chunk = mixed ? step_ - chunks_ + first_mixed_ : step_;
    copy(rows_, chunk, memory_.right(stage), mixed ? Tiles::kMixStride : Tiles::kStride);
    if (!mixed) copy(columns_, chunk, memory_.left(stage), Tiles::kStride);
    if (++step_ == steps_) {
      step_ = 0;
      --tiles_;
      rows_ += static_cast<Index>(kTile) * stride_;
    }
  }

 private:
  __device__ void copy(const Number* from, int chunk, Number* to, int stride) const {
    cuda::copy_tile<kTile, kChunkBytes>(to, stride, from + chunk * Tiles::kChunk, stride_,
                                            [](int, int) { return true; });
  }

  const ContrastMemory<Tiles> memory_;
  const Number *const columns_, *rows_;
  const int stride_, chunks_, steps_, first_mixed_;
  int tiles_;  // still to be fetched
  int step_ = 0;
};

/// Of the cosines of a tile: e, its sums, what is marked, and the weights for the mixtures.
template <class Tiles, Pass kPass>
class Exponentials {
 public:
  using Cosines = cuda::BlockSums<kDown, kTile>;

  /// Between this and take() there must be a barrier.
  __device__ Exponentials(const Contrast& call, int first_column, int columns, int rows,
                          double* totals)
      : call_(call),
        first_column_(first_column),
        columns_(columns),
        rows_(rows),
        totals_(totals + threadIdx.x) {
    if constexpr (kPass == Pass::kByKeys) return;
    totals_[0] = totals_[kBlockThreads] = 0;
    if (threadIdx.x < kTile) marked(static_cast<int>(threadIdx.x)) = 0;
  }

  /// Takes in the cosines with the rows from `first_row` on.
  __device__ void take(const Cosines& cosines, int first_row, typename Tiles::Number* weights) {
    const int first_column = first_column_ + Cosines::row(0);
    int positive[2] = {-1, -1};
    if constexpr (kPass != Pass::kByKeys) {
#pragma unroll
      for (int line = 0; line < 2; ++line) {
        const int column = first_column + 8 * line;
        if (inside(column, columns_)) positive[line] = place_of(call_.positive[column], rows_);
      }
    }
    float sums[2] = {};
#pragma unroll
    for (int i = 0; i < Cosines::kWidth; ++i) {
      cuda::Vector<typename Tiles::Number, 2> mixed[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = first_row + Cosines::column(i) + j;
        const bool there = inside(row, rows_);
        float weight = there ? 1.0f : 0.0f;
        int own_column = -1;
        if (kPass == Pass::kByKeys && there) {
          weight = call_.weights[row];
          own_column = place_of(call_.positive[row], columns_);
        }
#pragma unroll
        for (int line = 0; line < 2; ++line) {
          const int column = first_column + 8 * line;
          const float e = cuda::exponential(cosines.pair(line, i)[j], call_.sharpness) * weight;
          sums[line] += e;
          if (row == positive[line]) marked(Cosines::row(line)) = e;
          const float own = own_column == column ? 1.0f : 0.0f;
          mixed[line].values[j] = Tiles::number((e - own) * Tiles::kWeightScale);
        }
      }
      if constexpr (kPass != Pass::kLoss) {
        auto* const to = weights + Cosines::row(0) * Tiles::kWeightStride + Cosines::column(i);
        cuda::store(to, mixed[0]);
        cuda::store(to + 8 * Tiles::kWeightStride, mixed[1]);
      }
    }
    if constexpr (kPass != Pass::kByKeys) {
      totals_[0] += sums[0];
      totals_[kBlockThreads] += sums[1];
    }
  }

  /// The sums over all rows for each column of the tile, by way of `shared` [2,kTile].
  __device__ void store_totals(float* totals, float* shared) const {
#pragma unroll
    for (int line = 0; line < 2; ++line) {
      const double sum = cuda::quad_combined(totals_[line * kBlockThreads], cuda::Sum());
      if (lane_index() % 4 == 0) {
        shared[warp_index() / kDown * kTile + Cosines::row(line)] = static_cast<float>(sum);
      }
    }
    __syncthreads();
    const int column = static_cast<int>(threadIdx.x);
    if (column < kTile) totals[column] = shared[column] + shared[kTile + column];
  }

 private:
  /// What a column of the block's tile gives to its positive.
  __device__ float& marked(int column) const {
    return call_.marked[static_cast<Index>(blockIdx.x) * kTile + column];
  }

  /// As an int, and -1 for what is no place.
  static __device__ int place_of(std::int64_t place, int count) {
    return place < count ? static_cast<int>(place) : -1;
  }

  const Contrast& call_;
  const int first_column_, columns_, rows_;
  double* const totals_;
};

/// A block for a tile of columns, a part of the rows, and kStrip dims of the mixtures. Where dims
/// are more than that, blocks compute the same cosines for different dims.
template <class Tiles, Pass kPass>
__global__ void __launch_bounds__(kBlockThreads, Tiles::kBlocks) contrast_kernel(Contrast call) {
  using Number = typename Tiles::Number;
  constexpr bool kMix = kPass != Pass::kLoss;
  constexpr int kChunks = kStrip / Tiles::kChunk;
  const int columns = counted(call.columns), rows = counted(call.rows);
  const Work work(columns, rows);
  const int pieces = static_cast<int>(call.pieces), stride = static_cast<int>(call.length);
  const int block = static_cast<int>(blockIdx.x), piece = block % pieces, strip = block / pieces;
  if (!inside(piece, work.pieces())) return;
  const int chunks = stride / Tiles::kChunk, first_mixed = strip * kChunks;
  const int mixed = !kMix ? 0 : chunks - first_mixed < kChunks ? chunks - first_mixed : kChunks;
  const int first_column = work.tile(piece) * kTile;
  const int first_tile = work.first_row_tile(piece), end_tile = work.end_row_tile(piece);

  const ContrastMemory<Tiles> memory;
  cuda::TileStream<ContrastMemory<Tiles>::kStages, ContrastTiles<Tiles>> stream(
      {static_cast<const Number*>(call.column_units) + static_cast<Index>(first_column) * stride,
       static_cast<const Number*>(call.row_units) + static_cast<Index>(first_tile) * kTile * stride,
       stride, chunks, first_mixed, mixed, end_tile - first_tile});
  Exponentials<Tiles, kPass> exponentials(call, first_column, columns, rows, memory.totals());
  using Mixture = cuda::BlockSums<kDown, Tiles::kChunk>;
  Mixture mixtures[kMix ? kChunks : 1] = {};
  for (int tile = first_tile; tile < end_tile; ++tile) {
    cuda::BlockSums<kDown, kTile> cosines = {};
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int stage = stream.next();
      Tiles::product(cosines, memory.left(stage), memory.right(stage));
    }
    exponentials.take(cosines, tile * kTile, memory.weights());
    if constexpr (kMix) {
#pragma unroll
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        if (chunk < mixed)
          Tiles::mix(mixtures[chunk], memory.weights(), memory.right(stream.next()));
      }
    }
  }
  if constexpr (kPass != Pass::kByKeys) {
    exponentials.store_totals(call.totals + static_cast<Index>(blockIdx.x) * kTile,
                              memory.halves());
  }
  if constexpr (kMix) {
    const Index width = strip_width(call.length);
    float* const to = call.mixtures + static_cast<Index>(blockIdx.x) * kTile * width;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      if (chunk >= mixed) continue;
#pragma unroll
      for (int i = 0; i < Mixture::kWidth; ++i) {
#pragma unroll
        for (int line = 0; line < Mixture::kLines; ++line) {
          const float* const sums = mixtures[chunk].pair(line, i);
          const cuda::Vector<float, 2> pair{{sums[0], sums[1]}};
          cuda::store(to + Mixture::row(line) * width + chunk * Tiles::kChunk + Mixture::column(i),
                      pair);
        }
      }
    }
  }
}

template <class Tiles, Pass kPass>
Error launch_pass(const Contrast& call, Stream stream) {
  const Index strips = kPass == Pass::kLoss ? 1 : cuda::divided_up(call.length, kStrip);
  return cuda::launch(contrast_kernel<Tiles, kPass>, call.pieces * strips, kBlockThreads,
                      ContrastMemory<Tiles>::kBytes, stream, call);
}

inline Error launch_contrast(const Contrast& call, Stream stream) {
  return by_arithmetic(call.arithmetic, [&](auto type) -> Error {
    using Tiles = typename decltype(type)::type;
    switch (call.pass) {
      case Pass::kLoss:
        return launch_pass<Tiles, Pass::kLoss>(call, stream);
      case Pass::kByQueries:
        return launch_pass<Tiles, Pass::kByQueries>(call, stream);
      case Pass::kByKeys:
        return launch_pass<Tiles, Pass::kByKeys>(call, stream);
    }
    return "a pass that no kernel makes";
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::slot_info_nce
