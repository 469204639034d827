// The suite on the CPU.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/util/Exception.h>

#include <chrono>
#include <fstream>
#include <string>

#include "benchmarks/device.h"
#include "tests/support/peak_memory.h"

namespace bench {
namespace {

/// The processor as Linux names it; empty elsewhere.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  }
  return {};
}

class CpuDevice : public Device {
 public:
  c10::Device place() const override { return at::kCPU; }

  void describe() const override {
    benchmark::AddCustomContext("cpu", cpu_model());
    benchmark::AddCustomContext("instruction_set", at::get_cpu_capability());
    benchmark::AddCustomContext("threads", std::to_string(at::get_num_threads()));
  }

  void configure(benchmark::internal::Benchmark& /*row*/) const override {}  // as its flags say

  double peak_bytes(const Call& call) const override {
    return static_cast<double>(slotcon::testing::memory_growth([&] { call(); }).peak);
  }

  double measure(benchmark::State& row, const Call& call) const override {
    const auto start = std::chrono::steady_clock::now();
    while (row.KeepRunning()) benchmark::DoNotOptimize(call());
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(end - start).count() /
           static_cast<double>(row.iterations());
  }

  bool records_graphs() const override { return false; }

  Call recorded(const Call& /*call*/) const override {
    TORCH_CHECK(false, "a CPU records no calls");
  }

  bool frees_memory() const override { return false; }  // repetitions are in random order
};

}  // namespace

std::shared_ptr<const Device> make_cpu_device() { return std::make_shared<CpuDevice>(); }

}  // namespace bench
