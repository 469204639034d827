// RoIAlign on a GPU, by the kernels that the published code's library runs there.
#pragma once

#include <cstdint>

namespace bench::published {

/// Maps [images,channels,height,width] float32 and one box [images,4] an image, in pixels; the bins
/// are as many as the map has pixels.
struct RoiAlignOnCuda {
  std::int64_t images, channels, height, width;
  const float* boxes;
  const float* from;
  float* to;      // zeros
  bool backward;  // `from` is the gradient of the aligned maps, `to` that of the maps
};

/// Launches the kernel on a cudaStream_t; null, or the words in which CUDA refuses.
const char* roi_align_on_cuda(const RoiAlignOnCuda& call, void* stream);

}  // namespace bench::published
