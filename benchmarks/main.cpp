// The benchmarks of slotcon: `slotcon_benchmarks --help`, or ./run bench for all of them in a
// table.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <benchmark/benchmark.h>
#include <torch/version.h>

#include <fstream>
#include <string>
#include <string_view>

#include "benchmarks/suite.h"

static_assert(std::string_view(SLOTCON_BUILD_TYPE) == "Release",
              "the benchmarks measure a Release build: configure with CMAKE_BUILD_TYPE=Release");

namespace {

/// The processor as Linux names it; empty elsewhere.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(": ") + 2);
  }
  return {};
}

void describe_machine() {
  benchmark::AddCustomContext("cpu", cpu_model());
  benchmark::AddCustomContext("instruction_set", at::get_cpu_capability());
  benchmark::AddCustomContext("threads", std::to_string(at::get_num_threads()));
  benchmark::AddCustomContext("libtorch", TORCH_VERSION);
#if defined(__clang__)
  benchmark::AddCustomContext("compiler", "clang " __clang_version__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  describe_machine();
  bench::add_semantic_grouping();
  bench::add_aligned_assignment();
  bench::add_slot_info_nce();
  bench::add_slotcon_loss();
  bench::add_pretrain();
  return benchmark::RunSpecifiedBenchmarks() == 0 ? 1 : 0;
}
