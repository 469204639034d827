// The fused kernel of inverse augmentation against the reference in float64.
#include <gtest/gtest.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/boxes.h"
#include "tests/support/noise.h"
#include "tests/support/peak_memory.h"

using slotcon::Backend;
using slotcon::kernel::inverse_augmentation::choose;
using slotcon::testing::as_accurate;
using slotcon::testing::flags;
using slotcon::testing::floats;
using slotcon::testing::Forced;
using slotcon::testing::instruction_sets;
using slotcon::testing::memory_growth;
using slotcon::testing::noise;
using slotcon::testing::random_boxes;
using slotcon::testing::Threads;
using slotcon::testing::unusual_boxes;
using torch::autograd::grad;

namespace {

/// The arguments of a call, and a gradient that comes in.
struct Problem {
  torch::Tensor maps, boxes, flipped, incoming;
};

Problem problem(at::IntArrayRef sizes) {
  return {floats(sizes, 1), random_boxes(sizes[0], 2), noise({sizes[0]}, 3) > 0.4,
          floats(sizes, 4)};
}

torch::Tensor align(const Problem& problem, const torch::Tensor& maps, Backend backend) {
  return slotcon::functional::inverse_augment(
      maps, problem.boxes, problem.flipped, slotcon::InverseAugmentationOptions().backend(backend));
}

struct Result {
  torch::Tensor aligned, gradient;
};

Result run(const Problem& problem, Backend backend, at::ScalarType type = torch::kFloat) {
  const auto maps = problem.maps.to(type).clone().requires_grad_();
  const auto aligned = align(problem, maps, backend);
  return {aligned.detach(), grad({aligned}, {maps}, {problem.incoming.to(type)})[0]};
}

void expect_accurate(const Problem& problem) {
  const auto exact = run(problem, Backend::kReference, torch::kDouble);
  const auto reference = run(problem, Backend::kReference);
  const auto fused = run(problem, Backend::kFused);
  const auto largest = [](const torch::Tensor& values) {
    return values.abs().max().item<double>();
  };
  EXPECT_TRUE(
      as_accurate(fused.aligned, reference.aligned, exact.aligned, 2, largest(problem.maps)));
  EXPECT_TRUE(as_accurate(fused.gradient, reference.gradient, exact.gradient, 2,
                          largest(problem.incoming) + largest(exact.gradient)));
}

void expect_equal(const Result& a, const Result& b) {
  EXPECT_TRUE(at::equal(a.aligned, b.aligned));
  EXPECT_TRUE(at::equal(a.gradient, b.gradient));
}

}  // namespace

TEST(FusedInverseAugment, IsAsAccurateAsTheReferenceAtAnySize) {
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{1, 1, 1, 1},
                                                                  {1, 2, 1, 7},
                                                                  {3, 5, 7, 1},
                                                                  {2, 16, 4, 4},
                                                                  {5, 63, 7, 7},
                                                                  {2, 65, 9, 8},
                                                                  {1, 4096, 3, 5},
                                                                  {1, 19, 64, 64},
                                                                  {2, 257, 14, 14}}) {
    SCOPED_TRACE(::testing::PrintToString(sizes));
    expect_accurate(problem(sizes));
  }
}

TEST(FusedInverseAugment, EveryInstructionSetIsAsAccurate) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto& sizes : std::vector<std::vector<std::int64_t>>{
             {1, 1, 1, 1}, {2, 33, 5, 3}, {3, 130, 7, 7}, {1, 20, 4, 17}}) {
      SCOPED_TRACE(::testing::PrintToString(sizes));
      expect_accurate(problem(sizes));
    }
  }
}

TEST(FusedInverseAugment, TakesEveryBox) {
  for (const auto& box : unusual_boxes()) {
    for (const bool flipped : {false, true}) {
      SCOPED_TRACE(::testing::Message() << box << flipped);
      auto some = problem({1, 20, 5, 7});
      some.boxes = box;
      some.flipped = flags({flipped});
      expect_accurate(some);
    }
  }
}

TEST(FusedInverseAugment, GradientOfTheGradientIsTheKernelAgain) {
  const auto some = problem({2, 20, 5, 7});
  const auto maps = some.maps.clone().requires_grad_();
  const auto incoming = some.incoming.clone().requires_grad_();
  const auto gradient = grad({align(some, maps, Backend::kFused)}, {maps}, {incoming},
                             /*retain_graph=*/true, /*create_graph=*/true)[0];
  const auto direction = floats({2, 20, 5, 7}, 5);
  EXPECT_TRUE(at::equal(grad({gradient}, {incoming}, {direction})[0],
                        align(some, direction, Backend::kFused)));
}

TEST(FusedInverseAugment, ReadsAnyMemoryLayout) {
  for (const std::int64_t channels : {20, 64}) {  // rows that need padding, and that do not
    const auto plain = problem({2, channels, 5, 7});
    auto strided = plain;
    strided.maps = plain.maps.contiguous(at::MemoryFormat::ChannelsLast);
    strided.incoming = plain.incoming.transpose(2, 3).contiguous().transpose(2, 3);
    strided.boxes = plain.boxes.t().contiguous().t();
    strided.flipped = at::stack({plain.flipped, plain.flipped}, 1).select(1, 0);
    const auto result = run(strided, Backend::kFused);
    expect_equal(result, run(plain, Backend::kFused));
    EXPECT_TRUE(result.aligned.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST(FusedInverseAugment, ResultDoesNotDependOnTheRunOrTheThreads) {
  for (const std::int64_t images : {1, 5}) {  // fewer than threads: the positions are shared
    const auto some = problem({images, 130, 9, 11});
    const auto first = run(some, Backend::kFused);
    for (const int count : {1, 2, 3}) {
      const Threads threads(count);
      expect_equal(run(some, Backend::kFused), first);
    }
  }
}

TEST(FusedInverseAugment, KeepsNoMapForTheBackwardPass) {
  const auto some = problem({4, 40, 9, 11});
  const auto maps = some.maps.clone().requires_grad_();
  torch::Tensor aligned;
  const auto growth = memory_growth([&] { aligned = align(some, maps, Backend::kFused); });
  constexpr std::int64_t kBoxes = 1024;
  EXPECT_LE(growth.peak, static_cast<std::int64_t>(aligned.nbytes()) + kBoxes);
}

TEST(FusedInverseAugment, WithoutGradientThereIsNoGraph) {
  const auto some = problem({2, 20, 5, 7});
  EXPECT_FALSE(align(some, some.maps, Backend::kFused).requires_grad());
}

TEST(ChooseInverseAugmentation, TakesFloat32OnTheCpu) {
  const auto maps = torch::zeros({2, 4, 3, 3});
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(choose(maps.to(type)).fused) << type;
  }
  EXPECT_EQ(choose(maps.to(torch::kDouble)).why_not, "no kernel for Double on cpu");
  EXPECT_EQ(choose(maps.to(torch::kMeta)).why_not, "no kernel for Float on meta");
}
