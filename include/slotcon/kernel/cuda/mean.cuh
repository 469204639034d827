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

/// The sum of values [first, last), by a block.
template <class Number>
__device__ __forceinline__ double block_sum(const Number* values, Index first, Index last) {
  double sum = 0;
  for (Index i = first + threadIdx.x; inside(i, last); i += kBlockThreads) sum += values[i];
  return group_sum<kBlockThreads>(sum, shared_memory<double>());
}

inline __global__ void __launch_bounds__(kBlockThreads) mean_parts_kernel(Mean call) {
  const Index count = counted(call.count, call.capacity);
  const Index first = blockIdx.x * kNumbersOfPart, end = first + kNumbersOfPart;
  const double sum = block_sum(call.values, first, end < count ? end : count);
  if (threadIdx.x == 0) call.parts[blockIdx.x] = sum;
}

inline __global__ void __launch_bounds__(kBlockThreads) mean_kernel(Mean call) {
  const Index count = counted(call.count, call.capacity);
  const double sum = block_sum(call.parts, 0, divided_up(count, kNumbersOfPart));
  if (threadIdx.x != 0) return;
  *call.mean = count == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(count)) * call.scale;
}

inline Error launch_mean(const Mean& call, Stream stream) {
  constexpr std::size_t kShared = kBlockWarps * sizeof(double);
  const Error error = launch(mean_parts_kernel, divided_up(call.capacity, kNumbersOfPart),
                             kBlockThreads, kShared, stream, call);
  return error != nullptr ? error : launch(mean_kernel, 1, kBlockThreads, kShared, stream, call);
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
