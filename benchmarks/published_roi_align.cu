// One thread a bin of one channel; the backward pass adds atomically.
#include <cuda_runtime.h>

#include <algorithm>

#include "benchmarks/published_roi_align_cuda.h"

namespace bench::published {
namespace {

/// A bilinear sample of a map: calls visit(pixel, weight) for its four pixels.
template <class Visit>
__device__ void sample(float y, float x, int height, int width, const Visit& visit) {
  if (y < -1 || y > static_cast<float>(height) || x < -1 || x > static_cast<float>(width)) return;
  y = fminf(fmaxf(y, 0), static_cast<float>(height - 1));
  x = fminf(fmaxf(x, 0), static_cast<float>(width - 1));
  const int top = static_cast<int>(y), left = static_cast<int>(x);
  const int bottom = min(top + 1, height - 1), right = min(left + 1, width - 1);
  const float down = y - static_cast<float>(top), across = x - static_cast<float>(left);
  visit(top * width + left, (1 - down) * (1 - across));
  visit(top * width + right, (1 - down) * across);
  visit(bottom * width + left, down * (1 - across));
  visit(bottom * width + right, down * across);
}

/// Calls visit(pixel, weight) for all samples of a bin, weights adding up to 1 within the map.
template <class Visit>
__device__ void for_each_sample(const float* box, int bin, int height, int width,
                                const Visit& visit) {
  const float left = box[0] - 0.5f, top = box[1] - 0.5f;
  const float bin_width = (box[2] - 0.5f - left) / static_cast<float>(width);
  const float bin_height = (box[3] - 0.5f - top) / static_cast<float>(height);
  const int rows = static_cast<int>(ceilf(bin_height));
  const int columns = static_cast<int>(ceilf(bin_width));
  const float count = static_cast<float>(max(rows * columns, 1));
  const float first_y = top + static_cast<float>(bin / width) * bin_height;
  const float first_x = left + static_cast<float>(bin % width) * bin_width;
  for (int row = 0; row < rows; ++row) {
    const float y = first_y + (static_cast<float>(row) + 0.5f) * bin_height / rows;
    for (int column = 0; column < columns; ++column) {
      const float x = first_x + (static_cast<float>(column) + 0.5f) * bin_width / columns;
      sample(y, x, height, width, [&](int pixel, float weight) { visit(pixel, weight / count); });
    }
  }
}

template <bool kBackward>
__global__ void roi_align(RoiAlignOnCuda call) {
  const std::int64_t bins = call.height * call.width;
  const std::int64_t numbers = call.images * call.channels * bins;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < numbers;
       i += step) {
    const std::int64_t map = i / bins * bins;
    const float* box = call.boxes + 4 * (i / (bins * call.channels));
    float sum = 0;
    for_each_sample(box, static_cast<int>(i - map), static_cast<int>(call.height),
                    static_cast<int>(call.width), [&](int pixel, float weight) {
                      if constexpr (kBackward) {
                        atomicAdd(call.to + map + pixel, weight * call.from[i]);
                      } else {
                        sum += weight * call.from[map + pixel];
                      }
                    });
    if constexpr (!kBackward) call.to[i] = sum;
  }
}

}  // namespace

const char* roi_align_on_cuda(const RoiAlignOnCuda& call, void* stream) {
  constexpr int kThreads = 512;
  constexpr std::int64_t kMostBlocks = 4096;
  const auto numbers = call.images * call.channels * call.height * call.width;
  const auto blocks = std::min((numbers + kThreads - 1) / kThreads, kMostBlocks);
  if (blocks == 0) return nullptr;
  const auto kernel = call.backward ? roi_align<true> : roi_align<false>;
  kernel<<<static_cast<unsigned>(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(call);
  const auto status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

}  // namespace bench::published
