// Kernels that go along rows: how threads share them, the norm of one, and what becomes of cosines
// of two.
#pragma once

#include <slotcon/kernel/cuda/numbers.cuh>
#include <slotcon/kernel/cuda/warp.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

constexpr int kBlockThreads = 256;
constexpr int kBlockWarps = kBlockThreads / kWarp;

/// The row of this thread where kThreads of them, a warp or a block, share one.
template <int kThreads>
__device__ __forceinline__ Index row_index() {
  static_assert(kThreads == kWarp || kThreads == kBlockThreads);
  const Index block = blockIdx.x;
  return kThreads == kWarp ? block * kBlockWarps + warp_index() : block;
}

/// The blocks that `rows` of them take.
template <int kThreads>
Index blocks_for(Index rows) {
  return kThreads == kWarp ? divided_up(rows, kBlockWarps) : rows;
}

/// The shared memory of group_sum<kThreads>().
template <int kThreads>
constexpr std::size_t group_sum_bytes() {
  return kThreads == kWarp ? 0 : kThreads / kWarp * sizeof(float);
}

/// visit(Constant<threads>()) for a row of this length.
template <class Visitor>
Error by_row_length(Index length, const Visitor& visit) {
  constexpr Index kLongestOfAWarp = 1024;
  return length <= kLongestOfAWarp ? visit(Constant<kWarp>()) : visit(Constant<kBlockThreads>());
}

/// The inverse of a norm that is kept from below 1e-12; NaN stays NaN.
__device__ __forceinline__ float inverse_of_norm(float square) {
  const float norm = sqrtf(square);
  return 1.0f / (norm < 1e-12f ? 1e-12f : norm);
}

/// Whether the floor held: then the norm is a constant, without a gradient.
__device__ __forceinline__ bool norm_is_floor(float inverse_norm) {
  return inverse_norm >= 1.0f / 1e-12f;
}

/// e^((cosine - 1) / temperature): at most 1, so that a softmax of cosines needs no maximum.
__device__ __forceinline__ float exponential(float cosine, float sharpness) {
  constexpr float kLog2E = 1.44269504f;
  return exp2f((cosine - 1.0f) * (sharpness * kLog2E));
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
