// Sums over the threads of a warp and of a block, always in the same order.
#pragma once

#include <slotcon/kernel/cuda/compat.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }

/// The sum over the lanes of a warp, for all of them.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  return value;
}

/// The sum over the kThreads threads that share a row, for all of them: a warp, or a whole block of
/// several, which then needs `shared`, kThreads / 32 floats that nothing else uses.
template <int kThreads>
__device__ __forceinline__ float group_sum(float value, float* shared) {
  value = warp_sum(value);
  if constexpr (kThreads > kWarp) {
    if (lane_index() == 0) shared[warp_index()] = value;
    __syncthreads();
    value = shared[0];
#pragma unroll
    for (int warp = 1; warp < kThreads / kWarp; ++warp) value += shared[warp];
  }
  return value;
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
