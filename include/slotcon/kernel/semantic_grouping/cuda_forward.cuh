// The scores and weights of semantic grouping, between its matrix products.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_rows.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

/// e^((score - 1) / temperature): scores are cosines, so that no maximum has to be found.
__device__ __forceinline__ float exponential(float score, float sharpness) {
  return expf((score - 1.0f) * sharpness);
}

/// kThreads for each row.
template <int kThreads, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) scores_kernel(Scores call) {
  const Index row = cuda::row_index<kThreads>();
  if (!inside(row, call.rows)) return;
  const int member = static_cast<int>(threadIdx.x) % kThreads;
  const float inverse_norm = call.inverse_norm[row];
  float* scores = call.scores + row * call.slots;
  float partition = 0;
  for (Index i = member; inside(i, call.slots / kWidth); i += kThreads) {
    auto values = cuda::load<kWidth>(scores + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      values.values[j] *= inverse_norm;
      partition += exponential(values.values[j], call.sharpness);
    }
    cuda::store(scores + kWidth * i, values);
  }
  partition = cuda::group_sum<kThreads>(partition, cuda::shared_memory<float>());
  if (member == 0) call.inverse_partition[row] = 1.0f / partition;
}

inline Error launch_scores(const Scores& call, Stream stream) {
  return cuda::by_row_length(call.slots, [&](auto threads) {
    constexpr int kThreads = decltype(threads)::value;
    return cuda::by_width(cuda::fits_vectors(call.slots, call.scores), [&](auto width) {
      return cuda::launch(scores_kernel<kThreads, decltype(width)::value>,
                          cuda::blocks_for<kThreads>(call.rows), kBlockThreads,
                          cuda::group_sum_bytes<kThreads>(), stream, call);
    });
  });
}

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
  float totals[kWidth] = {};
  for (Index n = warp_index(); there && inside(n, call.positions); n += kBlockWarps) {
    const auto values = cuda::load<kWidth>(scores + n * call.slots);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) totals[j] += assignment(values.values[j], n);
  }
  auto* shared = cuda::shared_memory<float>();  // [kBlockWarps][kWidth][kWarp]
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    shared[(warp_index() * kWidth + j) * kWarp + lane_index()] = totals[j];
  }
  __syncthreads();
  if (!there) return;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    totals[j] = 0;
    for (int warp = 0; warp < kBlockWarps; ++warp) {
      totals[j] += shared[(warp * kWidth + j) * kWarp + lane_index()];
    }
    if (warp_index() == 0) call.totals[image * call.slots + slot + j] = totals[j];
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
                          kBlockThreads * kWidth * sizeof(float), stream, call);
    });
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
