// Sums and maxima over the threads of a warp and of a block, always in the same order.
#pragma once

#include <slotcon/kernel/cuda/compat.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }

/// What `combine` makes of the values of all lanes of a warp, for all of them.
template <class T, class Combine>
__device__ __forceinline__ T warp_combined(T value, const Combine& combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// The same over the kThreads threads that share a row: a warp, or a whole block of several, which
/// then needs `shared`, kThreads / 32 values that nothing else uses.
template <int kThreads, class T, class Combine>
__device__ __forceinline__ T group_combined(T value, T* shared, const Combine& combine) {
  value = warp_combined(value, combine);
  if constexpr (kThreads > kWarp) {
    if (lane_index() == 0) shared[warp_index()] = value;
    __syncthreads();
    value = shared[0];
#pragma unroll
    for (int warp = 1; warp < kThreads / kWarp; ++warp) value = combine(value, shared[warp]);
  }
  return value;
}

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Maximum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

/// What `combine` makes of the values of four lanes, 4 i to 4 i + 3, for all of them.
template <class T, class Combine>
__device__ __forceinline__ T quad_combined(T value, const Combine& combine) {
  value = combine(value, __shfl_xor_sync(kAllLanes, value, 1));
  return combine(value, __shfl_xor_sync(kAllLanes, value, 2));
}

/// The sum over the lanes of a warp, for all of them.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_combined(value, Sum());
}

/// The sum over the kThreads threads that share a row; `shared` as of group_combined().
template <int kThreads, class T>
__device__ __forceinline__ T group_sum(T value, T* shared) {
  return group_combined<kThreads>(value, shared, Sum());
}

/// Their largest value, likewise.
template <int kThreads, class T>
__device__ __forceinline__ T group_max(T value, T* shared) {
  return group_combined<kThreads>(value, shared, Maximum());
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
