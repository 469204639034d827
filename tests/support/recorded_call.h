// A call recorded as a CUDA graph, which needs all of LibTorch's CUDA half to compile and to link.
#pragma once

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include <functional>
#include <utility>
#include <vector>

namespace slotcon::testing {

/// The kernels of a call on tensors that stay where they are, to be started as one.
class RecordedCall {
 public:
  using Results = std::vector<torch::Tensor>;

  /// Throws c10::Error if the call waits for the GPU or allocates by other means than LibTorch's.
  explicit RecordedCall(std::function<Results()> call) : call_(std::move(call)) {
    c10::cuda::device_synchronize();  // the arguments were made on another stream
    const c10::StreamGuard aside(c10::cuda::getStreamFromPool());
    for (int i = 0; i < kWarmUps; ++i) call_();
    c10::cuda::device_synchronize();
    graph_.capture_begin();
    try {
      results_ = call_();
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }

  /// The results, the same tensors each time.
  const Results& replay() {
    graph_.replay();
    return results_;
  }

 private:
  static constexpr int kWarmUps = 3;  // LibTorch's own set-up

  std::function<Results()> call_;  // keeps the arguments
  at::cuda::CUDAGraph graph_;
  Results results_;
};

}  // namespace slotcon::testing
