// The gradients of scores and features by tensor cores, without the products of features and the
// slots' gradient in memory.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_tiles.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

constexpr int kGradientChunkBytes = 256;

/// The products of features and the slots' gradient, for a tile. A thread has two neighbouring
/// slots in each half of it.
using SlopeSums = cuda::BlockSums<kDown, kTileSlots>;
constexpr int kHalfSlots = kTileSlots / 2;
static_assert(SlopeSums::kWidth == 2 && SlopeSums::kColumnStep == kHalfSlots);
static_assert(kScoreRowBytes == kGradientChunkBytes);  // as tiles are copied

/// Shared memory: the features of the block, what is on its way through, the factors of a tile,
/// what is known of each row, and what warps that are beside each other find out of it.
template <class Tiles>
struct GradientMemory {
  using Number = typename Tiles::Number;
  static constexpr int kStages = 3;
  static constexpr int kBlocks = Tiles::kBytes == 4 ? 1 : 2;  // of a processor of an H100
  static constexpr int kChunks = kMostDims / Tiles::kChunk;
  static constexpr int kFeatures = kTilePositions * Tiles::kStride;
  static constexpr int kStage = kTileSlots * Tiles::kMixStride;
  static constexpr int kFactors = kTilePositions * Tiles::kWeightStride;
  static constexpr std::size_t kBytes =
      (kChunks * kFeatures + kStages * kStage + kFactors) * sizeof(Number) +
      (3 + SlopeSums::kAcross) * kTilePositions * sizeof(float);

  __device__ Number* features(int chunk) const { return numbers + chunk * kFeatures; }
  __device__ Number* stage(int stage) const { return features(kChunks) + stage * kStage; }
  __device__ float* scores(int stage) const { return reinterpret_cast<float*>(this->stage(stage)); }
  __device__ Number* factors() const { return stage(kStages); }
  __device__ float* inverse_norms() const { return reinterpret_cast<float*>(factors() + kFactors); }
  __device__ float* inverse_partitions() const { return inverse_norms() + kTilePositions; }
  __device__ float* along() const { return inverse_partitions() + kTilePositions; }
  __device__ float* sums() const { return along() + kTilePositions; }

  Number* numbers = cuda::shared_memory<Number>();
};

/// Fetches what a block needs of each tile of slots. In the first pass the scores, then the
/// gradient of the slots; in the second that gradient, half of the scores with their gradient, the
/// other half, and the prototypes unless the features' gradient is not asked for.
template <class Tiles>
class GradientTiles {
 public:
  __device__ GradientTiles(const TileGradient& call, Index image, int first_position)
      : call_(call), image_(static_cast<int>(image)), first_position_(first_position) {}

  __device__ void operator()(int stage) {
    const auto slots = static_cast<int>(call_.slots);
    if (slot_ >= slots) return;
    const int chunks = chunks_of<Tiles>(call_.length);
    const int before = second_pass_ ? chunks : 0, after = second_pass_ ? before + 2 : before + 1;
    const bool scores = step_ >= before && step_ < after;
    const auto source = scores ? scores_at(step_ - before)
                               : chunk_at(step_ < before ? step_ : step_ - after, step_ >= after);
    const int stride = step_ < before ? Tiles::kStride : Tiles::kMixStride;
    source.template copy<kTileSlots, Tiles::kChunkBytes>(
        memory_.stage(stage), scores ? kScoreStrideBytes : stride * Tiles::kBytes);
    const bool mixes = !second_pass_ || call_.gradient != nullptr;
    if (++step_ < after + (mixes ? chunks : 0)) return;
    step_ = 0;
    slot_ += kTileSlots;
    if (second_pass_ || slot_ < slots) return;
    second_pass_ = true;
    slot_ = 0;
  }

 private:
  /// Of what is multiplied with the features, or mixed.
  __device__ Source chunk_at(int chunk, bool mixed) const {
    const bool prototypes = second_pass_ && mixed;
    const Index first = prototypes ? 0 : image_ * call_.slots;
    return chunk_of<Tiles>(prototypes ? call_.units : call_.grad_slots, first + call_.slots,
                           call_.length, first + slot_, chunk);
  }

  /// The scores of the tile; in the second pass of half of it, and the gradient of the same scores
  /// in the place of the other half.
  __device__ Source scores_at(int half) const {
    constexpr int kPieces = kScoreRowBytes / cuda::kPieceBytes;
    const bool gradient = second_pass_ && cuda::own_piece<kScoreRowBytes>() >= kPieces / 2;
    const float* const scores = gradient ? call_.grad_scores : call_.scores;
    auto source = scores_of(scores, image_, call_.positions, call_.width, first_position_,
                            slot_ + (gradient ? half - 1 : half) * kHalfSlots);
    if (scores == nullptr) source.pieces = 0;
    return source;
  }

  const GradientMemory<Tiles> memory_;
  const TileGradient& call_;
  const int image_, first_position_;
  bool second_pass_ = false;
  int slot_ = 0, step_ = 0;
};

/// What is the same for all positions at two neighbouring slots.
struct SlotPair {
  float shares[2];   // 1 / total; 0 where there is no slot
  float offsets[2];  // c
};

/// The rows of a thread: the factors that the matrix products multiply, and what is summed over the
/// slots beside them.
template <class Tiles>
class GradientRows {
 public:
  using Number = typename Tiles::Number;
  static constexpr int kLines = SlopeSums::kLines;

  /// Between this and the first factors there must be a barrier.
  __device__ GradientRows(const TileGradient& call, Index image, int first_position)
      : call_(call), image_(static_cast<int>(image)), first_position_(first_position) {
    if (threadIdx.x >= kTilePositions) return;
    const int row = static_cast<int>(threadIdx.x);
    const bool there = inside<Index>(first_position + row, call.positions);
    memory_.inverse_norms()[row] = there ? call.inverse_norm[first_row() + row] : 0.0f;
    memory_.inverse_partitions()[row] = there ? call.inverse_partition[first_row() + row] : 0.0f;
  }

  /// What is known of the thread's slots in one half of the tile from `first_slot` on.
  __device__ SlotPair slots(int first_slot, int half) const {
    SlotPair pair{};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int slot = first_slot + SlopeSums::column(half) + i;
      if (!inside(slot, static_cast<int>(call_.slots))) continue;
      pair.shares[i] = call_.inverse_totals[image_ * call_.slots + slot];
      pair.offsets[i] = call_.offsets[image_ * call_.slots + slot];
    }
    return pair;
  }

  /// First pass: pi is the factor, and its sum with -c is kept.
  __device__ void take_weights(const SlotPair& slots, int half, const float* scores) {
#pragma unroll
    for (int line = 0; line < kLines; ++line) {
      const auto pair = cuda::load<2>(scores + place(line, half, kScoreStride));
      cuda::Vector<Number, 2> weights;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float weight = softmax(pair.values[i], line) * slots.shares[i];
        weights.values[i] = Tiles::number(weight * Tiles::kWeightScale);
        kept_[line] -= Tiles::multiplied(weights.values[i]) * slots.offsets[i];
      }
      cuda::store(memory_.factors() + place(line, half, Tiles::kWeightStride), weights);
    }
  }

  /// Second pass: the slope is the factor, and its sum with the score is kept. Beside the scores of
  /// the half there is their gradient.
  __device__ void take_slopes(const SlopeSums& products, const SlotPair& slots, int half,
                              const float* scores) {
#pragma unroll
    for (int line = 0; line < kLines; ++line) {
      const auto pair = cuda::load<2>(scores + place(line, 0, kScoreStride));
      const auto grad_scores = cuda::load<2>(scores + place(line, 1, kScoreStride));
      const float along = memory_.along()[SlopeSums::row(line)];
      cuda::Vector<Number, 2> numbers;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float p = slots.shares[i] > 0 ? softmax(pair.values[i], line) : 0.0f;
        const float product = half == 0 ? products.pair(line, 0)[i] : products.pair(line, 1)[i];
        const float v = p * slots.shares[i] * (product - slots.offsets[i]);
        const float slope = (v - p * along) * call_.sharpness + grad_scores.values[i];
        numbers.values[i] = Tiles::number(slope);
        kept_[line] += Tiles::multiplied(numbers.values[i]) * pair.values[i];
      }
      cuda::store(memory_.factors() + place(line, half, Tiles::kWeightStride), numbers);
    }
  }

  /// The slopes of a tile, from the factors, to global memory. Between take_slopes() and this there
  /// must be a barrier.
  __device__ void store_slopes(int first_slot) const {
    constexpr int kNumbers = cuda::kPieceBytes / Tiles::kBytes, kPieces = kTileSlots / kNumbers;
    const auto width = static_cast<int>(call_.width);
    auto* const to = static_cast<Number*>(call_.slopes) + first_row() * width + first_slot;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < kTilePositions * kPieces; i += kBlockThreads) {
      const int row = i / kPieces, number = i % kPieces * kNumbers;
      if (!inside(first_position_ + row, static_cast<int>(call_.positions))) return;
      if (!inside((first_slot + number) / kNumbers, width / kNumbers)) return;
      cuda::store(to + row * width + number,
                  cuda::load<kNumbers>(memory_.factors() + row * Tiles::kWeightStride + number));
    }
  }

  /// Adds to what is kept.
  __device__ void keep(int line, float value) { kept_[line] += value; }

  /// Adds up what all threads have kept of a row, and forgets it; along[row] = finish(sum, row) in
  /// shared memory, after the next barrier.
  template <class Finish>
  __device__ void sum_up(const Finish& finish) {
#pragma unroll
    for (int line = 0; line < kLines; ++line) {
      const float sum = cuda::quad_combined(kept_[line], cuda::Sum());
      kept_[line] = 0;
      if (lane_index() % 4 != 0) continue;
      memory_.sums()[warp_index() / kDown * kTilePositions + SlopeSums::row(line)] = sum;
    }
    __syncthreads();
    if (threadIdx.x >= kTilePositions) return;
    const int row = static_cast<int>(threadIdx.x);
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < SlopeSums::kAcross; ++warp) {
      sum += memory_.sums()[warp * kTilePositions + row];
    }
    memory_.along()[row] = finish(sum, row);
  }

 private:
  /// Where the thread's slots of a half are in a tile.
  static __device__ int place(int line, int half, int stride) {
    return SlopeSums::row(line) * stride + SlopeSums::column(half);
  }

  __device__ float softmax(float score, int line) const {
    return cuda::exponential(score, call_.sharpness) *
           memory_.inverse_partitions()[SlopeSums::row(line)];
  }

  /// Of the block's rows in [B,N].
  __device__ Index first_row() const { return image_ * call_.positions + first_position_; }

  const GradientMemory<Tiles> memory_;
  const TileGradient& call_;
  const int image_, first_position_;
  float kept_[kLines] = {};
};

/// Between the passes: from pi's sums with the slots' gradient to the part of the features'
/// gradient that does not go through the scores, times |x|, as the other part comes.
template <class Tiles, class Sums, int kChunks>
__device__ __forceinline__ void begin_gradient(const TileGradient& call, Index image,
                                               const GradientMemory<Tiles>& memory,
                                               Sums (&sums)[kChunks]) {
  float norms[Sums::kLines];
#pragma unroll
  for (int line = 0; line < Sums::kLines; ++line) {
    const float inverse_norm = memory.inverse_norms()[Sums::row(line)];
    norms[line] = inverse_norm == 0 ? 0.0f : 1 / inverse_norm;
  }
  for_each_pair(sums, [&](int line, int chunk, int column, float* pair) {
    const auto spread =
        load_pair(call.spread + image * call.length, chunk * Tiles::kChunk + column, call.length);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      pair[i] = (pair[i] / Tiles::kWeightScale + spread.values[i]) * norms[line];
    }
  });
}

/// At the end: takes away what goes along x, divides by |x| and stores, chunk by chunk by way of
/// shared memory, so that neighbours in global memory are written together.
template <class Tiles, class Sums, int kChunks>
__device__ __forceinline__ void store_gradient(const TileGradient& call, Index image,
                                               int first_position,
                                               const GradientMemory<Tiles>& memory,
                                               Sums (&sums)[kChunks]) {
  using Number = typename Tiles::Number;
  using Memory = GradientMemory<Tiles>;
  constexpr int kStride = Tiles::kChunk + 2;
  static_assert(kTilePositions * kStride * static_cast<int>(sizeof(float)) <=
                Memory::kStages * Memory::kStage * Tiles::kBytes);
  const Strides& strides = call.strides;
  const bool dims_together = strides.dim == 1;
  auto* const gradient = static_cast<Number*>(call.gradient) + image * strides.image;
  float* const tile = memory.scores(0);
#pragma unroll 1
  for (int chunk = 0; chunk < chunks_of<Tiles>(call.length); ++chunk) {
    __syncthreads();
    with_chunk(sums, chunk, [&](Sums& own) {
#pragma unroll
      for (int i = 0; i < Sums::kLines * Sums::kWidth; ++i) {
        const int line = i % Sums::kLines, j = i / Sums::kLines;
        const float* const pair = own.pair(line, j);
        cuda::store(tile + Sums::row(line) * kStride + Sums::column(j),
                    cuda::Vector<float, 2>{{pair[0], pair[1]}});
      }
    });
    __syncthreads();
    const int rows = static_cast<int>(call.positions) - first_position;
    const int columns = static_cast<int>(call.dims) - chunk * Tiles::kChunk;
#pragma unroll 2
    for (int i = static_cast<int>(threadIdx.x); i < kTilePositions * Tiles::kChunk;
         i += kBlockThreads) {
      const int row = dims_together ? i / Tiles::kChunk : i % kTilePositions;
      const int column = dims_together ? i % Tiles::kChunk : i / kTilePositions;
      if (!inside(row, rows)) continue;
      if (!inside(column, columns)) continue;
      const float x = Tiles::multiplied(memory.features(chunk)[row * Tiles::kStride + column]);
      const float value =
          (tile[row * kStride + column] - memory.along()[row] * x) * memory.inverse_norms()[row];
      const Index position = first_position + row, dim = chunk * Tiles::kChunk + column;
      gradient[dim * strides.dim + position * strides.position] = cuda::from_float<Number>(value);
    }
  }
}

/// A block for kTilePositions positions of an image: all slots go through twice, by tiles of
/// kTileSlots.
template <class Tiles>
__global__ void __launch_bounds__(kBlockThreads, GradientMemory<Tiles>::kBlocks)
    tile_gradient_kernel(TileGradient call) {
  using Memory = GradientMemory<Tiles>;
  using Sums = cuda::BlockSums<kDown, Tiles::kChunk>;
  const Index blocks = cuda::divided_up(call.positions, kTilePositions);
  const Index image = blockIdx.x / blocks;
  const auto first_position = static_cast<int>(blockIdx.x % blocks) * kTilePositions;
  const int chunks = chunks_of<Tiles>(call.length), slots = static_cast<int>(call.slots);

  const Memory memory;
  const Index first_row = image * call.positions;
  copy_features<Tiles>(call.features, first_row + call.positions, call.length,
                       first_row + first_position, memory);
  cuda::TileStream<Memory::kStages, GradientTiles<Tiles>> stream({call, image, first_position});
  GradientRows<Tiles> rows(call, image, first_position);
  Sums sums[Memory::kChunks] = {};
  const auto mix_tile = [&] {
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const auto* const tile = memory.stage(stream.next());
      with_chunk(sums, chunk, [&](Sums& own) { Tiles::mix(own, memory.factors(), tile); });
    }
  };

  for (int slot = 0; slot < slots; slot += kTileSlots) {
    const SlotPair pairs[2] = {rows.slots(slot, 0), rows.slots(slot, 1)};
    const float* const scores = memory.scores(stream.next());
#pragma unroll
    for (int half = 0; half < 2; ++half) rows.take_weights(pairs[half], half, scores);
    mix_tile();
  }
  for_each_pair(sums, [&](int line, int chunk, int column, const float* pair) {
    if (chunk >= chunks) return;  // there are no features
    const auto x =
        cuda::load<2>(memory.features(chunk) + Sums::row(line) * Tiles::kStride + column);
    rows.keep(line,
              pair[0] * Tiles::multiplied(x.values[0]) + pair[1] * Tiles::multiplied(x.values[1]));
  });
  rows.sum_up([](float sum, int) { return sum / Tiles::kWeightScale; });
  if (call.gradient != nullptr) begin_gradient(call, image, memory, sums);

  for (int slot = 0; slot < slots; slot += kTileSlots) {
    SlopeSums products = {};
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int stage = stream.next();
      Tiles::product(products, memory.features(chunk), memory.stage(stage));
    }
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      const SlotPair pair = rows.slots(slot, half);
      rows.take_slopes(products, pair, half, memory.scores(stream.next()));
    }
    if (call.slopes != nullptr) {
      __syncthreads();
      rows.store_slopes(slot);
    }
    if (call.gradient != nullptr) mix_tile();
  }
  if (call.gradient == nullptr) return;
  rows.sum_up([&](float sum, int row) {
    const float inverse_norm = memory.inverse_norms()[row];
    return cuda::norm_is_floor(inverse_norm) ? 0.0f : sum * inverse_norm;
  });
  store_gradient(call, image, first_position, memory, sums);
}

inline Error launch_tile_gradient(const TileGradient& call, Stream stream) {
  return by_tiles<kGradientChunkBytes>(call.arithmetic, [&](auto type) {
    using Tiles = typename decltype(type)::type;
    return cuda::launch(tile_gradient_kernel<Tiles>,
                        call.images * cuda::divided_up(call.positions, kTilePositions),
                        kBlockThreads, GradientMemory<Tiles>::kBytes, stream, call);
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
