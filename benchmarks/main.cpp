// The benchmarks of slotcon: `slotcon_benchmarks --help`, or ./run bench for all of them in a
// table. `--device=cuda` measures on a GPU, as ./run gpu does.
#include <benchmark/benchmark.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <cstdio>
#include <string_view>

#include "benchmarks/suite.h"
#include "examples/support/allocator.h"

static_assert(std::string_view(SLOTCON_BUILD_TYPE) == "Release",
              "the benchmarks measure a Release build: configure with CMAKE_BUILD_TYPE=Release");

namespace {

/// The plan for `--device`, which is taken out of the arguments.
bench::Plan plan_of(int& argc, char** argv) {
  const std::string_view last = argv[argc - 1];
  const bool cuda = last == "--device=cuda";
  if (cuda || last == "--device=cpu") --argc;
  return cuda ? bench::cuda_plan() : bench::cpu_plan();
}

void describe(const bench::Device& device) {
  device.describe();
  benchmark::AddCustomContext("libtorch", TORCH_VERSION);
#if defined(__clang__)
  benchmark::AddCustomContext("compiler", "clang " __clang_version__);
#else
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
#endif
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const auto plan = plan_of(argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  describe(*plan.device);
  examples::keep_freed_memory();  // for all implementations alike, as in a trainer
  bench::add_semantic_grouping(plan);
  bench::add_aligned_assignment(plan);
  bench::add_slot_info_nce(plan);
  bench::add_slotcon_loss(plan);
  bench::add_batch_norm(plan);
  bench::add_pretrain(plan);
  bench::add_copy(plan);
  return benchmark::RunSpecifiedBenchmarks() == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "slotcon_benchmarks: %s\n", error.what_without_backtrace());
  }
  return 1;
}
