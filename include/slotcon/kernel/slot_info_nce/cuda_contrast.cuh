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

/// The tiles that a block needs, in the order in which it does: for each tile of rows the chunks of
/// both sides for the cosines, then the chunks of the rows that are mixed. They are fetched two
/// steps ahead.
template <class Tiles>
class TileStream {
 public:
  using Number = typename Tiles::Number;
  using Memory = ContrastMemory<Tiles>;

  __device__ TileStream(const Number* columns, const Number* rows, int stride, int chunks,
                        int first_mixed, int mixed, int tiles)
      : columns_(columns + own_row() * stride + own_number()),
        rows_(rows + own_row() * stride + own_number()),
        stride_(stride),
        chunks_(chunks),
        steps_(chunks + mixed),
        first_mixed_(first_mixed),
        tiles_(tiles) {
    for (int i = 0; i < Memory::kStages - 1; ++i) fetch();
  }

  /// The stage in which the next tiles have arrived, for all threads. They are there until the next
  /// call.
  __device__ int next() {
    cuda::wait_copies<Memory::kStages - 2>();
    __syncthreads();
    fetch();
    return stage_;  // the one to be filled after the two that are on their way
  }

 private:
  __device__ void fetch() {
    if (tiles_ > 0) {
      const bool mixed = step_ >= chunks_;
      const int chunk = mixed ? step_ - chunks_ + first_mixed_ : step_;
      copy(rows_, chunk, memory_.right(stage_), mixed ? Tiles::kMixStride : Tiles::kStride);
      if (!mixed) copy(columns_, chunk, memory_.left(stage_), Tiles::kStride);
      if (++step_ == steps_) {
        step_ = 0;
        --tiles_;
        rows_ += static_cast<Index>(kTile) * stride_;
      }
    }
    cuda::commit_copies();
    stage_ = stage_ + 1 == Memory::kStages ? 0 : stage_ + 1;
  }

  /// By each thread 16 bytes of every kRowsAtOnce rows, from those of its first one on.
  __device__ void copy(const Number* from, int chunk, Number* to, int stride) const {
    from += chunk * Tiles::kChunk;
    to += own_row() * stride + own_number();
#pragma unroll
    for (int row = 0; row < kTile; row += kRowsAtOnce) {
      cuda::copy_async<16>(to + row * stride, from + row * stride_, true);
    }
  }

  static constexpr int kCopies = cuda::kChunkBytes / 16;  // of a row
  static constexpr int kRowsAtOnce = kBlockThreads / kCopies;
  static __device__ int own_row() { return static_cast<int>(threadIdx.x) / kCopies; }
  static __device__ int own_number() {
    constexpr int kNumbers = 16 / sizeof(Number);
    return static_cast<int>(threadIdx.x) % kCopies * kNumbers;
  }

  const Memory memory_;
  const Number *const columns_, *rows_;
  const int stride_, chunks_, steps_, first_mixed_;
  int tiles_;  // still to be fetched
  int step_ = 0, stage_ = 0;
};

/// Of the cosines of a tile: e, its sums, what is marked, and the weights for the mixtures.
template <class Tiles, Pass kPass>
class Exponentials {
 public:
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
  __device__ void take(const typename Tiles::ProductSums& cosines, int first_row,
                       typename Tiles::Number* weights) {
    const auto place = cuda::place_of_thread(Tiles::kProductColumns);
    const int first_column = first_column_ + place.row;
    int positive[2] = {-1, -1};
    if constexpr (kPass != Pass::kByKeys) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int column = first_column + 8 * half;
        if (inside(column, columns_)) positive[half] = place_of(call_.positive[column], rows_);
      }
    }
    float sums[2] = {};
#pragma unroll
    for (int tile = 0; tile < Tiles::kProductColumns / 8; ++tile) {
      cuda::Vector<typename Tiles::Number, 2> mixed[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int row = first_row + place.column + 8 * tile + j;
        const bool there = inside(row, rows_);
        float weight = there ? 1.0f : 0.0f;
        int own_column = -1;
        if (kPass == Pass::kByKeys && there) {
          weight = call_.weights[row];
          own_column = place_of(call_.positive[row], columns_);
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int column = first_column + 8 * half;
          const float e = exponential(cosines[tile][2 * half + j]) * weight;
          sums[half] += e;
          if (row == positive[half]) marked(place.row + 8 * half) = e;
          const float own = own_column == column ? 1.0f : 0.0f;
          mixed[half].values[j] = Tiles::number((e - own) * Tiles::kWeightScale);
        }
      }
      if constexpr (kPass != Pass::kLoss) {
        auto* const to = weights + place.row * Tiles::kWeightStride + place.column + 8 * tile;
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
    const auto place = cuda::place_of_thread(Tiles::kProductColumns);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto sum = static_cast<float>(quad_sum(totals_[half * kBlockThreads]));
      if (lane_index() % 4 == 0) shared[warp_index() / 4 * kTile + place.row + 8 * half] = sum;
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

  __device__ float exponential(float cosine) const {
    constexpr float kLog2E = 1.44269504f;
    return exp2f((cosine - 1.0f) * (call_.sharpness * kLog2E));
  }

  /// Over the four lanes that share a row of the sums.
  static __device__ double quad_sum(double value) {
    value += __shfl_xor_sync(cuda::kAllLanes, value, 1);
    return value + __shfl_xor_sync(cuda::kAllLanes, value, 2);
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
  TileStream<Tiles> stream(
      static_cast<const Number*>(call.column_units) + static_cast<Index>(first_column) * stride,
      static_cast<const Number*>(call.row_units) + static_cast<Index>(first_tile) * kTile * stride,
      stride, chunks, first_mixed, mixed, end_tile - first_tile);
  Exponentials<Tiles, kPass> exponentials(call, first_column, columns, rows, memory.totals());
  typename Tiles::MixSums mixtures[kMix ? kChunks : 1] = {};
  for (int tile = first_tile; tile < end_tile; ++tile) {
    typename Tiles::ProductSums cosines = {};
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
    const auto [row, column] = cuda::place_of_thread(Tiles::kMixColumns);
    const Index width = strip_width(call.length);
    float* const to =
        call.mixtures + (static_cast<Index>(blockIdx.x) * kTile + row) * width + column;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      if (chunk >= mixed) continue;
#pragma unroll
      for (int i = 0; i < Tiles::kMixColumns / 4; ++i) {
        const int tile = i / 2, half = i % 2;
        const float* const sums = mixtures[chunk][tile] + 2 * half;
        const cuda::Vector<float, 2> pair{{sums[0], sums[1]}};
        cuda::store(to + 8 * half * width + chunk * Tiles::kChunk + 8 * tile, pair);
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
