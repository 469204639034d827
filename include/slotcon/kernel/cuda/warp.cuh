// Sums and maxima over the threads of a warp and of a block, always in the same order.
#pragma once

#include <slotcon/kernel/cuda/compat.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }

/// The values of the lanes of a warp combined two by two, for all of them.
template <class Number, class Combine>
__device__ __forceinline__ Number warp_reduce(Number value, const Combine& combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// The same over the kThreads threads that share a row: a warp, or a whole block of several, which
/// then needs `shared`, kThreads / 32 numbers that nothing else uses.
template <int kThreads, class Number, class Combine>
__device__ __forceinline__ Number group_reduce(Number value, const Combine& combine,
                                               Number* shared) {
  value = warp_reduce(value, combine);
  if constexpr (kThreads > kWarp) {
    if (lane_index() == 0) shared[warp_index()] = value;
    __syncthreads();
    value = shared[0];
#pragma unroll
    for (int warp = 1; warp < kThreads / kWarp; ++warp) value = combine(value, shared[warp]);
  }
  return value;
}

struct Plus {
  template <class Number>
  __device__ __forceinline__ Number operator()(Number a, Number b) const {
    return a + b;
  }
};

struct Larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <class Number>
__device__ __forceinline__ Number warp_sum(Number value) {
  return warp_reduce(value, Plus());
}

template <int kThreads, class Number>
__device__ __forceinline__ Number group_sum(Number value, Number* shared) {
  return group_reduce<kThreads>(value, Plus(), shared);
}

template <int kThreads>
__device__ __forceinline__ float group_max(float value, float* shared) {
  return group_reduce<kThreads>(value, Larger(), shared);
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
