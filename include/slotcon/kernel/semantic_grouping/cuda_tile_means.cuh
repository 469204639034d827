// Slots by tensor cores: the means of features, by weights that are made on the way and never
// stored.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_tiles.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

constexpr int kMeanChunkBytes = 256;
static_assert(kScoreRowBytes == kMeanChunkBytes);  // as tiles are copied

/// The threads of a slot share its positions: each makes the weights of kOwnPositions neighbours in
/// a tile.
constexpr int kThreadsOfASlot = kBlockThreads / kTileSlots;
constexpr int kOwnPositions = kTilePositions / kThreadsOfASlot;

/// What the parts of the slots say of a position, put together.
struct Position {
  float inverse_partition;
  int winner;
};

/// Shared memory: scores and features on their way through, the weights of a tile, its positions,
/// and what the threads of a slot find out of it.
template <class Tiles>
struct MeansMemory {
  using Number = typename Tiles::Number;
  static constexpr int kStages = 3;
  static constexpr int kStage = kTilePositions * Tiles::kMixStride;
  static constexpr int kWeights = kTileSlots * Tiles::kWeightStride;
  static constexpr std::size_t kBytes = (kStages * kStage + kWeights) * sizeof(Number) +
                                        kTilePositions * sizeof(Position) +
                                        kBlockThreads * (sizeof(float) + sizeof(int));

  __device__ Number* stage(int stage) const { return numbers + stage * kStage; }
  __device__ float* scores(int stage) const { return reinterpret_cast<float*>(this->stage(stage)); }
  __device__ Number* weights() const { return stage(kStages); }
  __device__ Position* positions() const {
    return reinterpret_cast<Position*>(weights() + kWeights);
  }
  __device__ float* totals() const {
    return reinterpret_cast<float*>(positions() + kTilePositions);
  }
  __device__ int* wins() const { return reinterpret_cast<int*>(totals() + kBlockThreads); }

  Number* numbers = cuda::shared_memory<Number>();
};

/// Fetches what a block needs: of tile after tile of positions the scores, then the features, chunk
/// after chunk.
template <class Tiles>
class MeanTiles {
 public:
  __device__ MeanTiles(const TileMeans& call, Index image, int first_slot)
      : call_(call), image_(static_cast<int>(image)), first_slot_(first_slot) {}

  __device__ void operator()(int stage) {
    if (position_ >= call_.positions) return;
    const Index first = image_ * call_.positions;
    const auto source = step_ == 0 ? scores_of(call_.scores, image_, call_.positions, call_.width,
                                               position_, first_slot_)
                                   : chunk_of<Tiles>(call_.features, first + call_.positions,
                                                     call_.length, first + position_, step_ - 1);
    source.template copy<kTilePositions, Tiles::kChunkBytes>(
        memory_.stage(stage), step_ == 0 ? kScoreStrideBytes : Tiles::kMixStride * Tiles::kBytes);
    if (++step_ <= chunks_of<Tiles>(call_.length)) return;
    step_ = 0;
    position_ += kTilePositions;
  }

 private:
  const MeansMemory<Tiles> memory_;
  const TileMeans& call_;
  const int image_, first_slot_;
  int position_ = 0, step_ = 0;
};

/// The positions of a tile, each by one thread. The first block of an image writes what it learns
/// of them to global memory.
class Positions {
 public:
  __device__ Positions(const TileMeans& call, Index image, bool writes)
      : call_(call), first_row_(image * call.positions), writes_(writes) {}

  /// Reads what is known of the thread's position in the tile from `first` on.
  __device__ void read(int first) {
    if (threadIdx.x >= kTilePositions) return;
    const Index position = first + static_cast<int>(threadIdx.x);
    own_ = {0, -1};
    if (!inside(position, call_.positions)) return;
    const Index rows = call_.images * call_.positions, row = first_row_ + position;
    float partition = 0;
    unsigned long long rank = 0;
    for (Index part = 0; part < call_.parts; ++part) {
      partition += call_.partitions[part * rows + row];
      rank = cuda::Maximum()(rank, static_cast<unsigned long long>(call_.ranks[part * rows + row]));
    }
    own_ = {1.0f / partition, slot_of(rank)};
    if (writes_) call_.inverse_partition[row] = own_.inverse_partition;
  }

  __device__ void store(Position* shared) const {
    if (threadIdx.x < kTilePositions) shared[threadIdx.x] = own_;
  }

 private:
  const TileMeans& call_;
  const Index first_row_;
  const bool writes_;
  Position own_;
};

/// The weights a = softmax + eps of a thread's slot, and their sum.
template <class Tiles>
class Weighing {
 public:
  using Number = typename Tiles::Number;

  __device__ Weighing(const TileMeans& call, int first_slot)
      : call_(call), slot_(first_slot + own_slot()), scale_(Tiles::kWeightScale / (1 + call.eps)) {}

  /// What weights are multiplied with, so that the largest, of 1 + eps, is in range.
  __device__ float scale() const { return scale_; }

  /// Makes the weights of a tile with `count` positions; those beyond are 0.
  __device__ void take(const float* scores, const Position* positions, int count, Number* weights) {
    constexpr int kNumbers = cuda::kPieceBytes / Tiles::kBytes;
#pragma unroll
    for (int i = 0; i < kOwnPositions; i += kNumbers) {
      const int first = own_position() + i;
      cuda::Vector<Number, kNumbers> vector;
#pragma unroll
      for (int j = 0; j < kNumbers; ++j) {
        const int n = first + j;
        float weight = 0;
        if (inside(n, count)) {
          const auto [inverse_partition, winner] = positions[n];
          const float score = scores[n * kScoreStride + own_slot()];
          weight = cuda::exponential(score, call_.sharpness) * inverse_partition + call_.eps;
          wins_ = wins_ || winner == slot_;
        }
        total_ += weight;
        vector.values[j] = Tiles::number(weight * scale_);
      }
      cuda::store(weights + own_slot() * Tiles::kWeightStride + first, vector);
    }
  }

  __device__ void store(float* totals, int* wins) const {
    totals[threadIdx.x] = total_;
    wins[threadIdx.x] = wins_ ? 1 : 0;
  }

 private:
  static __device__ int own_slot() { return static_cast<int>(threadIdx.x) % kTileSlots; }
  static __device__ int own_position() {
    return static_cast<int>(threadIdx.x) / kTileSlots * kOwnPositions;
  }

  const TileMeans& call_;
  const int slot_;
  const float scale_;
  float total_ = 0;
  bool wins_ = false;
};

/// The sum of what the threads of a slot have.
template <class T>
__device__ __forceinline__ T sum_of_slot(const T* shared, int slot) {
  T sum = 0;
#pragma unroll
  for (int i = slot; i < kBlockThreads; i += kTileSlots) sum += shared[i];
  return sum;
}

/// A block for kTileSlots slots of an image: tiles of kTilePositions positions go through.
template <class Tiles>
__global__ void __launch_bounds__(kBlockThreads, Tiles::kBlocks) tile_means_kernel(TileMeans call) {
  using Memory = MeansMemory<Tiles>;
  using Number = typename Tiles::Number;
  using Sums = cuda::BlockSums<kDown, Tiles::kChunk>;
  constexpr int kChunks = kMostDims / Tiles::kChunk;
  const Index strips = cuda::divided_up(call.slots, kTileSlots);
  const Index image = blockIdx.x / strips;
  const auto first_slot = static_cast<int>(blockIdx.x % strips) * kTileSlots;
  const auto positions = static_cast<int>(call.positions);
  const int chunks = chunks_of<Tiles>(call.length);

  const Memory memory;
  cuda::TileStream<Memory::kStages, MeanTiles<Tiles>> stream({call, image, first_slot});
  Positions ahead(call, image, /*writes=*/first_slot == 0);
  Weighing<Tiles> weighing(call, first_slot);
  Sums sums[kChunks] = {};
  ahead.read(0);
  for (int first = 0; first < positions; first += kTilePositions) {
    ahead.store(memory.positions());
    const int arrived = stream.next();
    weighing.take(memory.scores(arrived), memory.positions(), positions - first, memory.weights());
    ahead.read(first + kTilePositions);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const Number* const tile = memory.stage(stream.next());
      with_chunk(sums, chunk,
                 [&](Sums& own) { Tiles::mix(own, memory.weights(), tile, positions - first); });
    }
  }
  weighing.store(memory.totals(), memory.wins());
  __syncthreads();
  const int own_slot = static_cast<int>(threadIdx.x);
  if (own_slot < kTileSlots && inside<Index>(first_slot + own_slot, call.slots)) {
    const Index at = image * call.slots + first_slot + own_slot;
    call.totals[at] = sum_of_slot(memory.totals(), own_slot);
    call.present[at] = sum_of_slot(memory.wins(), own_slot) != 0;
  }
  float shares[Sums::kLines];
#pragma unroll
  for (int line = 0; line < Sums::kLines; ++line) {
    const float total = sum_of_slot(memory.totals(), Sums::row(line));
    shares[line] = positions == 0 ? 0.0f : 1 / (total * weighing.scale());
  }
  auto* const means =
      static_cast<Number*>(call.means) + (image * call.slots + first_slot) * call.length;
  for_each_pair(sums, [&](int line, int chunk, int column, const float* pair) {
    const int row = Sums::row(line);
    if (!inside<Index>(first_slot + row, call.slots)) return;
    store_pair(means + row * call.length, chunk * Tiles::kChunk + column, call.length,
               pair[0] * shares[line], pair[1] * shares[line]);
  });
}

inline Error launch_tile_means(const TileMeans& call, Stream stream) {
  return by_tiles<kMeanChunkBytes>(call.arithmetic, [&](auto type) {
    using Tiles = typename decltype(type)::type;
    return cuda::launch(tile_means_kernel<Tiles>,
                        call.images * cuda::divided_up(call.slots, kTileSlots), kBlockThreads,
                        MeansMemory<Tiles>::kBytes, stream, call);
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
