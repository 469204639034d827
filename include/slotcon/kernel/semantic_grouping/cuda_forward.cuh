// The scores and weights of semantic grouping, between its matrix products.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_rows.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

/// The same as cuda::exponential(), with a register less, which the kernels here would spill.
__device__ __forceinline__ float exponential(float score, float sharpness) {
  return expf((score - 1.0f) * sharpness);
}

/// A score and its slot as a number, the greater the larger the score and, of equal ones, the lower
/// the slot. NaN is the largest, as it is for argmax.
__device__ __forceinline__ unsigned long long rank_of(float score, Index slot) {
  const unsigned bits = __float_as_uint(score + 0.0f);  // -0 becomes 0
  const unsigned rising = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  const unsigned long long rank = score == score ? rising : 0xffffffffu;
  return rank << 32 | (0xffffffffu - static_cast<unsigned>(slot));
}

__device__ __forceinline__ int slot_of(unsigned long long rank) {
  return static_cast<int>(0xffffffffu - static_cast<unsigned>(rank));
}

/// The shared memory of a row: for its largest rank, and for its sum.
template <int kThreads>
struct ScoresShared {
  unsigned long long ranks[kThreads / kWarp];
  float sums[kThreads / kWarp];
};

/// kThreads for each row.
template <int kThreads, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) scores_kernel(Scores call) {
  const Index row = cuda::row_index<kThreads>();
  if (!inside(row, call.rows)) return;
  const int member = static_cast<int>(threadIdx.x) % kThreads;
  const float inverse_norm = call.inverse_norm[row];
  float* scores = call.scores + row * call.slots;
  float partition = 0;
  unsigned long long best = 0;
  for (Index i = member; inside(i, call.slots / kWidth); i += kThreads) {
    auto values = cuda::load<kWidth>(scores + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      values.values[j] *= inverse_norm;
      partition += exponential(values.values[j], call.sharpness);
      best = cuda::Maximum()(best, rank_of(values.values[j], kWidth * i + j));
    }
    cuda::store(scores + kWidth * i, values);
  }
  auto* shared = cuda::shared_memory<ScoresShared<kThreads>>();
  partition = cuda::group_sum<kThreads>(partition, shared->sums);
  best = cuda::group_combined<kThreads>(best, shared->ranks, cuda::Maximum());
  if (member != 0) return;
  call.inverse_partition[row] = 1.0f / partition;
  call.winners[row] = slot_of(best);
}

inline Error launch_scores(const Scores& call, Stream stream) {
  return cuda::by_row_length(call.slots, [&](auto threads) {
    constexpr int kThreads = decltype(threads)::value;
    return cuda::by_width(cuda::fits_vectors(call.slots, call.scores), [&](auto width) {
      return cuda::launch(scores_kernel<kThreads, decltype(width)::value>,
                          cuda::blocks_for<kThreads>(call.rows), kBlockThreads,
                          sizeof(ScoresShared<kThreads>), stream, call);
    });
  });
}

/// What the warps of a block find out of its slots, [warp][slot of a lane][lane].
template <int kWidth>
struct WeightsShared {
  float totals[kBlockWarps][kWidth][kWarp];
  int wins[kBlockWarps][kWidth][kWarp];
};

/// A block for kWarp kWidth slots of an image: lanes along slots, warps along positions.
template <class T, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) weights_kernel(Weights call) {
  const Index strips = cuda::divided_up(call.slots, kWarp * kWidth);
  const Index image = blockIdx.x / strips;
  const Index vector = blockIdx.x % strips * kWarp + lane_index(), slot = vector * kWidth;
  const bool there = inside(vector, call.slots / kWidth);
  const auto* scores = call.scores + image * call.positions * call.slots + slot;
  const auto* inverse_partition = call.inverse_partition + image * call.positions;
  const auto assignment = [&](float score, Index n) {
    return exponential(score, call.sharpness) * inverse_partition[n] + call.eps;
  };
  const int* winners = call.winners + image * call.positions;
  float totals[kWidth] = {};
  bool wins[kWidth] = {};
  for (Index n = warp_index(); there && inside(n, call.positions); n += kBlockWarps) {
    const auto values = cuda::load<kWidth>(scores + n * call.slots);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      totals[j] += assignment(values.values[j], n);
      wins[j] = wins[j] || winners[n] == slot + j;
    }
  }
  auto* shared = cuda::shared_memory<WeightsShared<kWidth>>();
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    shared->totals[warp_index()][j][lane_index()] = totals[j];
    shared->wins[warp_index()][j][lane_index()] = wins[j] ? 1 : 0;
  }
  __syncthreads();
  if (!there) return;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    totals[j] = 0;
    for (int warp = 0; warp < kBlockWarps; ++warp) {
      totals[j] += shared->totals[warp][j][lane_index()];
      wins[j] = wins[j] || shared->wins[warp][j][lane_index()] != 0;
    }
    if (warp_index() != 0) continue;
    call.totals[image * call.slots + slot + j] = totals[j];
    call.present[image * call.slots + slot + j] = wins[j];
  }
  auto* weights = static_cast<T*>(call.weights) + image * call.positions * call.slots + slot;
  for (Index n = warp_index(); inside(n, call.positions); n += kBlockWarps) {
    const auto values = cuda::load<kWidth>(scores + n * call.slots);
    cuda::Vector<T, kWidth> result;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      result.values[j] = cuda::from_float<T>(assignment(values.values[j], n) / totals[j]);
    }
    cuda::store(weights + n * call.slots, result);
  }
}

inline Error launch_weights(const Weights& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool vectors =
        cuda::fits_vectors(call.slots, call.scores, static_cast<const T*>(call.weights));
    return cuda::by_width(vectors, [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      return cuda::launch(weights_kernel<T, kWidth>,
                          call.images * cuda::divided_up(call.slots, kWarp * kWidth), kBlockThreads,
                          sizeof(WeightsShared<kWidth>), stream, call);
    });
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
