// The suite on a GPU.
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "benchmarks/device.h"
#include "tests/support/recorded_call.h"

namespace bench {
namespace {

constexpr std::int64_t kFlushedBytes = 256 << 20;  // more than any GPU's cache holds
constexpr int kWarmUps = 3;
constexpr std::size_t kFewestSamples = 20, kMostSamples = 100;
constexpr double kMilliseconds = 100;  // of all samples, if there are more than the fewest

double quantile(const std::vector<double>& sorted, double fraction) {
  return sorted[static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1) + 0.5)];
}

class CudaDevice : public Device {
 public:
  c10::Device place() const override { return at::kCUDA; }

  void describe() const override {
    cudaDeviceProp properties{};
    int driver = 0, runtime = 0;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, c10::cuda::current_device()));
    C10_CUDA_CHECK(cudaDriverGetVersion(&driver));
    C10_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    benchmark::AddCustomContext("gpu", properties.name);
    benchmark::AddCustomContext("gpu_processors", std::to_string(properties.multiProcessorCount));
    benchmark::AddCustomContext("gpu_cache_bytes", std::to_string(properties.l2CacheSize));
    benchmark::AddCustomContext("cuda_driver", std::to_string(driver));
    benchmark::AddCustomContext("cuda_runtime", std::to_string(runtime));
  }

  void configure(benchmark::internal::Benchmark& row) const override {
    row.UseManualTime()->Iterations(1);
  }

  double peak_bytes(const Call& call) const override {
    auto* allocator = c10::getDeviceAllocator(at::kCUDA);
    const auto index = c10::cuda::current_device();
    const auto allocated = [&] { return allocator->getDeviceStats(index).allocated_bytes[0]; };
    allocator->resetPeakStats(index);
    const auto before = allocated().current;
    call();
    return static_cast<double>(allocated().peak - before);
  }

  double measure(benchmark::State& row, const Call& call) const override {
    for (int i = 0; i < kWarmUps; ++i) call();
    c10::Event start(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
    c10::Event end(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
    std::vector<double> samples;
    double total = 0;
    while (samples.size() < kFewestSamples ||
           (samples.size() < kMostSamples && total < kMilliseconds)) {
      total += samples.emplace_back(milliseconds(call, start, end));
    }
    std::sort(samples.begin(), samples.end());
    const double seconds = 1e-3 * quantile(samples, 0.5);
    while (row.KeepRunning()) row.SetIterationTime(seconds);
    row.counters["samples"] = static_cast<double>(samples.size());
    row.counters["low"] = quantile(samples, 0.2);
    row.counters["high"] = quantile(samples, 0.8);
    return seconds;
  }

  bool records_graphs() const override { return true; }

  Call recorded(const Call& call) const override {
    return [recording = std::make_shared<slotcon::testing::RecordedCall>(call)] {
      return recording->replay();
    };
  }

  bool frees_memory() const override { return true; }

 private:
  /// From an idle GPU with an empty cache to the end of the last kernel.
  double milliseconds(const Call& call, c10::Event& start, c10::Event& end) const {
    const auto stream = c10::cuda::getCurrentCUDAStream().unwrap();
    flushed_.zero_();
    c10::cuda::device_synchronize();
    start.record(stream);
    call();
    end.record(stream);
    end.synchronize();
    return start.elapsedTime(end);
  }

  const torch::Tensor flushed_ =
      at::empty({kFlushedBytes}, at::TensorOptions(at::kCUDA).dtype(at::kByte));
};

}  // namespace

std::shared_ptr<const Device> make_cuda_device() {
  TORCH_CHECK(c10::cuda::device_count() > 0, "no GPU was found");
  return std::make_shared<CudaDevice>();
}

}  // namespace bench
