// The fused kernel of the assignment's cross entropy against the reference in float64.
#include <gtest/gtest.h>
#include <slotcon/loss/prototype_assignment.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/error_text.h"
#include "tests/support/noise.h"
#include "tests/support/peak_memory.h"
#include "tests/support/tolerance.h"

using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::functional::soft_cross_entropy;
using slotcon::kernel::prototype_assignment::choose;
using slotcon::testing::as_accurate;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::Forced;
using slotcon::testing::instruction_sets;
using slotcon::testing::memory_growth;
using slotcon::testing::Threads;
using torch::autograd::grad;

namespace {

struct Problem {
  torch::Tensor student, targets;
  double temperature = 0.1;
};

/// Scores as cosines, targets as a teacher's assignment.
Problem problem(at::IntArrayRef sizes) {
  return {(0.5 * floats(sizes, 1)).tanh(), at::softmax(floats(sizes, 2), 1)};
}

torch::Tensor loss_of(const Problem& problem, const torch::Tensor& student, Backend backend) {
  return soft_cross_entropy(
      student, problem.targets.to(student.scalar_type()),
      AssignmentOptions().student_temperature(problem.temperature).backend(backend));
}

struct Result {
  torch::Tensor loss, gradient;
};

Result run(const Problem& problem, Backend backend, at::ScalarType type = torch::kFloat) {
  const auto student = problem.student.to(type).clone().requires_grad_();
  const auto loss = loss_of(problem, student, backend);
  return {loss.detach(), grad({3 * loss}, {student})[0]};
}

void expect_accurate(const Problem& problem) {
  const auto exact = run(problem, Backend::kReference, torch::kDouble);
  const auto reference = run(problem, Backend::kReference);
  const auto fused = run(problem, Backend::kFused);
  // A gradient is a difference of shares, times 3 / (temperature B N).
  const auto positions = static_cast<double>(problem.student.numel() / problem.student.size(1));
  const double shares = problem.targets.abs().sum(1).max().item<double>();
  const double term = 3 / problem.temperature / positions * shares;
  EXPECT_TRUE(as_accurate(fused.loss, reference.loss, exact.loss, 2,
                          shares + std::abs(exact.loss.item<double>())));
  EXPECT_TRUE(as_accurate(fused.gradient, reference.gradient, exact.gradient, 2, term));
}

void expect_equal(const Result& a, const Result& b) {
  EXPECT_TRUE(at::equal(a.loss, b.loss));
  EXPECT_TRUE(at::equal(a.gradient, b.gradient));
}

}  // namespace

TEST(FusedSoftCrossEntropy, IsAsAccurateAsTheReferenceAtAnySize) {
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{1, 1},
                                                                  {5, 3},
                                                                  {200, 17},
                                                                  {2, 1, 3},
                                                                  {3, 5, 33},
                                                                  {2, 16, 4, 4},
                                                                  {5, 63, 7, 7},
                                                                  {2, 65, 31},
                                                                  {1, 4096, 3, 5},
                                                                  {1, 19, 64, 64},
                                                                  {2, 257, 2, 5, 3},
                                                                  {2, 2048, 14, 14}}) {
    SCOPED_TRACE(::testing::PrintToString(sizes));
    expect_accurate(problem(sizes));
  }
}

TEST(FusedSoftCrossEntropy, EveryInstructionSetIsAsAccurate) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto& sizes : std::vector<std::vector<std::int64_t>>{
             {1, 1}, {9, 33}, {2, 33, 5, 3}, {3, 130, 7, 7}, {1, 300, 68}}) {
      SCOPED_TRACE(::testing::PrintToString(sizes));
      expect_accurate(problem(sizes));
    }
  }
}

TEST(FusedSoftCrossEntropy, TakesAnyTargets) {
  auto some = problem({2, 40, 3, 4});
  some.targets = floats({2, 40, 3, 4}, 7);  // negative ones too, any sum
  expect_accurate(some);
  some.targets.zero_();
  const auto nothing = run(some, Backend::kFused);
  EXPECT_EQ(nothing.loss.item<float>(), 0);
  EXPECT_TRUE(at::equal(nothing.gradient, torch::zeros({2, 40, 3, 4})));
}

TEST(FusedSoftCrossEntropy, TakesScoresOfAnySizeAndSharpTemperatures) {
  for (const double scale : {0.0, 30.0, 3000.0}) {
    auto some = problem({2, 40, 3, 4});
    some.student = some.student * scale;
    SCOPED_TRACE(scale);
    expect_accurate(some);
  }
  for (const double temperature : {1e-3, 5.0}) {
    auto some = problem({2, 40, 3, 4});
    some.temperature = temperature;
    SCOPED_TRACE(temperature);
    expect_accurate(some);
  }
}

TEST(FusedSoftCrossEntropy, ReadsAnyMemoryLayout) {
  for (const std::int64_t channels : {20, 64}) {  // rows that need padding, and that do not
    const auto plain = problem({2, channels, 5, 7});
    auto strided = plain;
    strided.student = plain.student.contiguous(at::MemoryFormat::ChannelsLast);
    strided.targets = plain.targets.transpose(2, 3).contiguous().transpose(2, 3);
    const auto result = run(strided, Backend::kFused);
    expect_equal(result, run(plain, Backend::kFused));
    EXPECT_TRUE(result.gradient.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST(FusedSoftCrossEntropy, ResultDoesNotDependOnTheRunOrTheThreads) {
  const auto some = problem({3, 130, 9, 11});
  const auto first = run(some, Backend::kFused);
  for (const int count : {1, 2, 3}) {
    const Threads threads(count);
    expect_equal(run(some, Backend::kFused), first);
  }
}

TEST(FusedSoftCrossEntropy, HalfTypesAreComputedInFloat32) {
  auto some = problem({2, 20, 5, 7});
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    some.student = some.student.to(type).to(torch::kFloat);
    some.targets = some.targets.to(type).to(torch::kFloat);
    const auto expected = run(some, Backend::kFused);
    const auto result = run(some, Backend::kFused, type);
    EXPECT_TRUE(at::equal(result.loss, expected.loss)) << type;
    EXPECT_TRUE(close(result.gradient, expected.gradient)) << type;
  }
}

TEST(FusedSoftCrossEntropy, NeedsNoMoreThanTheGradientAndItsScaledCopy) {
  const auto some = problem({6, 40, 9, 11});
  const auto student = some.student.clone().requires_grad_();
  const auto maps = static_cast<std::int64_t>(student.nbytes());
  constexpr std::int64_t kNumbers = 256;
  torch::Tensor loss;
  const auto growth = memory_growth([&] {
    loss = loss_of(some, student, Backend::kFused);
    grad({loss}, {student});
  });
  EXPECT_LE(growth.peak, 2 * maps + kNumbers);
  EXPECT_EQ(growth.kept, static_cast<std::int64_t>(loss.nbytes()));
  const torch::NoGradGuard no_grad;
  EXPECT_LE(memory_growth([&] { loss_of(some, student, Backend::kFused); }).peak, kNumbers);
}

TEST(FusedSoftCrossEntropy, WithoutGradientTheLossIsTheSame) {
  const auto some = problem({2, 20, 5, 7});
  const auto loss = loss_of(some, some.student, Backend::kFused);
  EXPECT_FALSE(loss.requires_grad());
  EXPECT_TRUE(at::equal(loss, run(some, Backend::kFused).loss));
}

TEST(FusedSoftCrossEntropy, SecondDerivativeByAnythingNamesTheReference) {
  const auto some = problem({2, 4, 3});
  const auto student = some.student.clone().requires_grad_();
  const auto incoming = torch::ones({}).requires_grad_();
  const auto gradient = grad({loss_of(some, student, Backend::kFused)}, {student}, {incoming},
                             /*retain_graph=*/true, /*create_graph=*/true)[0];
  for (const auto& second : {student, incoming}) {
    EXPECT_EQ(error_text<c10::NotImplementedError>(
                  [&] { grad({gradient.square().sum()}, {second}, {}, /*retain_graph=*/true); }),
              "soft_cross_entropy: double backward needs Backend::kReference");
  }
}

TEST(ChoosePrototypeAssignment, TakesFloat32OnTheCpu) {
  const auto scores = torch::zeros({2, 4, 3, 3});
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(choose(scores.to(type)).fused) << type;
  }
  EXPECT_EQ(choose(scores.to(torch::kDouble)).why_not, "no kernel for Double on cpu");
  EXPECT_EQ(choose(scores.to(torch::kMeta)).why_not, "no kernel for Float on meta");
}
