// Where the suite runs, and how a call is measured there.
#pragma once

#include <benchmark/benchmark.h>
#include <c10/core/Device.h>
#include <torch/types.h>

#include <functional>
#include <memory>
#include <vector>

namespace bench {

using Tensors = std::vector<torch::Tensor>;

/// One measured call. Returns everything it computed, always in the same order.
using Call = std::function<Tensors()>;

class Device {
 public:
  virtual ~Device() = default;

  virtual c10::Device place() const = 0;

  /// Adds what the results depend on to their context.
  virtual void describe() const = 0;

  /// Sets how often a row is run.
  virtual void configure(benchmark::internal::Benchmark& row) const = 0;

  /// How far `call` raises what LibTorch has allocated here, in bytes.
  virtual double peak_bytes(const Call& call) const = 0;

  /// Measures `call`, whose first calls are over, for a row; the seconds that one takes.
  virtual double measure(benchmark::State& row, const Call& call) const = 0;

  /// Whether it can record the kernels of a call as a graph and start them as one.
  virtual bool records_graphs() const = 0;

  /// Records a call that never waits for the device; the results are the same tensors each time.
  virtual Call recorded(const Call& call) const = 0;

  /// Whether what a row needs is to be freed when it has run, and it runs once.
  virtual bool frees_memory() const = 0;
};

std::shared_ptr<const Device> make_cpu_device();

/// Throws c10::Error with the reason where there is no GPU or this program is built without CUDA.
std::shared_ptr<const Device> make_cuda_device();

}  // namespace bench
