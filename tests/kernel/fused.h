// What the tests of the fused kernels share: instruction sets to force and the rule of accuracy.
#pragma once

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <slotcon/kernel/cpu/instruction_set.h>
#include <torch/types.h>

#include <vector>

namespace slotcon::testing {

/// So many threads for the life of the object.
class Threads {
 public:
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  const int before_ = at::get_num_threads();
};

/// Every instruction set of this processor.
inline std::vector<kernel::cpu::InstructionSet> instruction_sets() {
  using kernel::cpu::InstructionSet;
  std::vector<InstructionSet> sets;
  for (const auto set :
       {InstructionSet::kPortable, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= kernel::cpu::best_instruction_set()) sets.push_back(set);
  }
  return sets;
}

/// Forces an instruction set for the life of the object.
class Forced {
 public:
  explicit Forced(kernel::cpu::InstructionSet set) {
    kernel::cpu::force_instruction_set_for_testing(set);
  }
  ~Forced() { kernel::cpu::force_instruction_set_for_testing(kernel::cpu::best_instruction_set()); }
  Forced(const Forced&) = delete;
  Forced& operator=(const Forced&) = delete;
};

/// Whether the error of `fused` against `exact` (float64) is at most `factor` times that of the
/// float32 `reference`, beside a few roundings of the largest term of its sums, `scale`.
inline ::testing::AssertionResult as_accurate(const torch::Tensor& fused,
                                              const torch::Tensor& reference,
                                              const torch::Tensor& exact, double factor,
                                              double scale) {
  if (fused.sizes() != exact.sizes() || fused.scalar_type() != torch::kFloat) {
    return ::testing::AssertionFailure()
           << fused.scalar_type() << " " << fused.sizes() << ", expected Float " << exact.sizes();
  }
  const auto error_of = [&](const torch::Tensor& actual) {
    return (actual.to(torch::kDouble) - exact).abs().max().item<double>();
  };
  const double error = error_of(fused), bound = factor * error_of(reference) + 2e-7 * scale;
  if (error <= bound) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "error " << error << ", bound " << bound;
}

}  // namespace slotcon::testing
