// The mean of many numbers in two stages, always in the same order.
#pragma once

#include <slotcon/kernel/cuda/mean.h>

#include <slotcon/kernel/cuda/rows.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

/// How many of `capacity` there are. No more than that, whatever the memory says.
__device__ __forceinline__ Index counted(const std::int64_t* count, Index capacity) {
  return count == nullptr || *count > capacity ? capacity : *count;
}

/// The sum of values [first, end), by a block.
template <class Number>
__device__ __forceinline__ double block_sum(const Number* values, Index first, Index end) {
  double sum = 0;
  for (Index i = first + threadIdx.x; inside(i, end); i += kBlockThreads) sum += values[i];
  return group_sum<kBlockThreads>(sum, shared_memory<double>());
}

/// Stage 1, a block for each part of the values, or stage 2, a block for all parts.
template <int kStage>
__global__ void __launch_bounds__(kBlockThreads) mean_kernel(Mean call) {
  const Index count = counted(call.count, call.capacity);
  if constexpr (kStage == 1) {
    const Index first = blockIdx.x * kNumbersOfPart, end = first + kNumbersOfPart;
    const double sum = block_sum(call.values, first, end < count ? end : count);
    if (threadIdx.x == 0) call.parts[blockIdx.x] = sum;
  } else {
    const double sum = block_sum(call.parts, 0, divided_up(count, kNumbersOfPart));
    const double mean = count == 0 ? 0.0 : sum / static_cast<double>(count) * call.scale;
    if (threadIdx.x == 0) *call.mean = static_cast<float>(mean);
  }
}

inline Error launch_mean(const Mean& call, Stream stream) {
  constexpr std::size_t kShared = kBlockWarps * sizeof(double);
  const Error error = launch(mean_kernel<1>, divided_up(call.capacity, kNumbersOfPart),
                             kBlockThreads, kShared, stream, call);
  return error != nullptr ? error : launch(mean_kernel<2>, 1, kBlockThreads, kShared, stream, call);
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
