// The fused kernel of semantic grouping against the reference in float64.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <slotcon/kernel/semantic_grouping/dispatch.h>
#include <slotcon/loss/semantic_grouping.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <ctime>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/peak_memory.h"
#include "tests/support/tolerance.h"

namespace cpu = slotcon::kernel::cpu;
namespace grouping = slotcon::kernel::semantic_grouping;
using slotcon::Backend;
using slotcon::SemanticGroupingOptions;
using slotcon::functional::semantic_grouping;
using slotcon::testing::as_accurate;
using slotcon::testing::floats;
using slotcon::testing::memory_growth;
using slotcon::testing::noise;
using slotcon::testing::Tensors;
using slotcon::testing::Threads;
using slotcon::testing::within;

namespace {

constexpr double kTemperature = 0.07;
constexpr double kEps = 1e-6;

struct Sizes {
  std::int64_t images, slots, dims, positions;
};

std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "B " << sizes.images << " K " << sizes.slots << " D " << sizes.dims << " N "
             << sizes.positions;
}

/// The arguments of a call and of its backward pass; an undefined gradient is not passed on.
struct Case {
  explicit Case(const Sizes& s)
      : features(floats({s.images, s.dims, s.positions}, 1)),
        prototypes(floats({s.slots, s.dims}, 2)),
        grad_slots(floats({s.images, s.slots, s.dims}, 3)),
        grad_scores(floats({s.images, s.slots, s.positions}, 4)) {}

  torch::Tensor features, prototypes, grad_slots, grad_scores;
};

using Implementation = decltype(&grouping::reference);

/// Slots, scores and the gradients of features and prototypes.
Tensors run(Implementation implementation, const Case& c, at::ScalarType type = torch::kFloat,
            double temperature = kTemperature, double eps = kEps) {
  const auto features = c.features.detach().to(type).requires_grad_();
  const auto prototypes = c.prototypes.detach().to(type).requires_grad_();
  const auto [slots, scores, present] = implementation(features, prototypes, temperature, eps);
  Tensors outputs, incoming;
  if (c.grad_slots.defined()) {
    outputs.push_back(slots);
    incoming.push_back(c.grad_slots.to(type));
  }
  if (c.grad_scores.defined()) {
    outputs.push_back(scores);
    incoming.push_back(c.grad_scores.to(type));
  }
  const auto gradients = torch::autograd::grad(outputs, {features, prototypes}, incoming);
  return {slots.detach(), scores.detach(), gradients[0], gradients[1]};
}

double largest(const torch::Tensor& values) {
  return values.numel() == 0 ? 0 : values.abs().max().item<double>();
}

/// The largest term that a gradient is a difference of: with one channel, say, all of the scores'
/// gradient cancels.
double largest_term(const Case& c) {
  if (!c.grad_scores.defined() || c.features.numel() == 0) return 0;
  const auto incoming = c.grad_scores.abs().sum(1) / c.features.norm(2, {1}).clamp_min(1e-3);
  const auto norms = c.prototypes.norm(2, {1}).clamp_min(1e-3);
  return largest(incoming) + largest(c.grad_scores.abs().sum(2).sum(0) / norms);
}

/// The errors of the fused kernel against float64 are at most twice those of the float32 reference,
/// beside some roundings where the reference happens to make none.
testing::AssertionResult as_exact_as_the_reference(const Case& c, double temperature = kTemperature,
                                                   double eps = kEps) {
  const auto exact = run(&grouping::reference, c, torch::kDouble, temperature, eps);
  const auto reference = run(&grouping::reference, c, torch::kFloat, temperature, eps);
  const auto fused = run(&grouping::fused, c, torch::kFloat, temperature, eps);
  const char* names[] = {"slots", "scores", "gradient of features", "gradient of prototypes"};
  for (std::size_t i = 0; i < 4; ++i) {
    const double scale = i == 0   ? largest(c.features)
                         : i == 1 ? 1
                                  : largest(exact[i]) + largest_term(c);
    const auto result = as_accurate(fused[i], reference[i], exact[i], 2, scale);
    if (!result) return testing::AssertionFailure() << names[i] << ": " << result.message();
  }
  return testing::AssertionSuccess();
}

bool equal(const Tensors& a, const Tensors& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!at::equal(a[i], b[i])) return false;
  }
  return true;
}

std::string name_of(const testing::TestParamInfo<cpu::InstructionSet>& parameter) {
  switch (parameter.param) {
    case cpu::InstructionSet::kPortable:
      return "Portable";
    case cpu::InstructionSet::kAvx2:
      return "Avx2";
    case cpu::InstructionSet::kAvx512:
      return "Avx512";
  }
  return "";
}

/// Each test runs with every instruction set of this processor.
class SemanticGroupingKernel : public testing::TestWithParam<cpu::InstructionSet> {
  const slotcon::testing::Forced forced_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(All, SemanticGroupingKernel,
                         testing::ValuesIn(slotcon::testing::instruction_sets()), name_of);

}  // namespace

// ---- Values and gradients ----

TEST_P(SemanticGroupingKernel, IsAsExactAsTheReferenceAtEveryTail) {
  for (std::int64_t i = 1; i <= 66; ++i) {
    const Sizes sizes{1 + i % 3, i, 1 + (i * 19) % 67, 1 + (i * 31) % 67};
    EXPECT_TRUE(as_exact_as_the_reference(Case(sizes))) << sizes;
  }
}

TEST_P(SemanticGroupingKernel, IsAsExactAsTheReferenceAtOddAndLargeSizes) {
  for (const auto& sizes : {Sizes{1, 1, 1, 1}, Sizes{5, 1, 3, 2}, Sizes{2, 256, 256, 49},
                            Sizes{1, 449, 33, 29}, Sizes{2, 225, 65, 113}, Sizes{4, 241, 31, 197},
                            Sizes{1, 2048, 64, 196}, Sizes{1, 4096, 16, 49}, Sizes{1, 3, 8, 4096},
                            Sizes{1, 40, 1024, 50}, Sizes{9, 17, 20, 10}}) {
    EXPECT_TRUE(as_exact_as_the_reference(Case(sizes))) << sizes;
  }
}

TEST_P(SemanticGroupingKernel, IsAsExactAsTheReferenceAtOtherNumbers) {
  const Case c({2, 37, 40, 61});
  EXPECT_TRUE(as_exact_as_the_reference(c, 0.025, 1e-6));
  EXPECT_TRUE(as_exact_as_the_reference(c, 1.5, 0.25));
  EXPECT_TRUE(as_exact_as_the_reference(c, 0.07, 0));
}

TEST_P(SemanticGroupingKernel, SlotsThatWinNothingAreAsExactAsTheReference) {
  Case c({1, 64, 128, 196});
  c.prototypes = at::cat({c.prototypes.slice(0, 0, 4), c.prototypes.slice(0, 4)});
  c.features = (c.prototypes.slice(0, 0, 4).repeat({49, 1}).t() + 0.1 * c.features[0]).unsqueeze(0);
  EXPECT_TRUE(as_exact_as_the_reference(c));
}

TEST_P(SemanticGroupingKernel, OneOutputUsedGivesItsGradientAlone) {
  for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{9, 300, 20, 10}}) {
    Case slots(sizes), scores(sizes);
    slots.grad_scores.reset();
    scores.grad_slots.reset();
    EXPECT_TRUE(as_exact_as_the_reference(slots)) << sizes;
    EXPECT_TRUE(as_exact_as_the_reference(scores)) << sizes;
  }
}

TEST_P(SemanticGroupingKernel, OneInputWithGradientGetsTheSame) {
  const Case c({2, 37, 40, 61});
  const auto expected = run(&grouping::fused, c);
  for (const bool by_features : {true, false}) {
    const auto features = c.features.clone().requires_grad_(by_features);
    const auto prototypes = c.prototypes.clone().requires_grad_(!by_features);
    const auto [slots, scores, present] = grouping::fused(features, prototypes, kTemperature, kEps);
    EXPECT_FALSE(present.requires_grad());
    torch::autograd::backward({slots, scores}, {c.grad_slots, c.grad_scores});
    EXPECT_TRUE(at::equal(by_features ? features.grad() : prototypes.grad(),
                          expected[by_features ? 2 : 3]));
    EXPECT_FALSE((by_features ? prototypes : features).grad().defined());
  }
}

TEST_P(SemanticGroupingKernel, WithoutGradientTheResultsAreTheSame) {
  const Case c({2, 37, 40, 61});
  const auto expected = run(&grouping::fused, c);
  const torch::NoGradGuard no_grad;
  const auto [slots, scores, present] =
      grouping::fused(c.features.requires_grad_(), c.prototypes, kTemperature, kEps);
  EXPECT_TRUE(at::equal(slots, expected[0]) && at::equal(scores, expected[1]));
  EXPECT_FALSE(slots.requires_grad() || scores.requires_grad());
}

// ---- Edge cases ----

TEST_P(SemanticGroupingKernel, ZeroVectorsHaveTheGradientOfTheReference) {
  Case c({2, 5, 7, 9});
  c.features.select(2, 3).zero_();
  c.prototypes[2].zero_();
  const auto exact = run(&grouping::reference, c, torch::kDouble);
  const auto fused = run(&grouping::fused, c);
  const auto zero_scores = fused[1].select(2, 3);
  EXPECT_TRUE(at::equal(zero_scores, torch::zeros_like(zero_scores)));
  // The floor 1e-12 makes these gradients huge; the others must not be measured by them.
  const auto expect_close = [](const torch::Tensor& actual, const torch::Tensor& expected) {
    EXPECT_TRUE(within(actual, expected, 1e-5 * largest(expected)));
  };
  expect_close(fused[2].select(2, 3), exact[2].select(2, 3));
  expect_close(fused[3][2], exact[3][2]);
  EXPECT_GT(largest(fused[2].select(2, 3)), 1e9);
  EXPECT_GT(largest(fused[3][2]), 1e9);
  expect_close(fused[2].slice(2, 0, 3), exact[2].slice(2, 0, 3));
  expect_close(fused[2].slice(2, 4), exact[2].slice(2, 4));
  expect_close(fused[3].slice(0, 0, 2), exact[3].slice(0, 0, 2));
  expect_close(fused[0], exact[0]);
}

TEST_P(SemanticGroupingKernel, VectorsBelowTheFloorHaveTheGradientOfTheReference) {
  Case c({1, 3, 4, 5});
  c.features *= 1e-14;
  const auto exact = run(&grouping::reference, c, torch::kDouble);
  const auto fused = run(&grouping::fused, c);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(within(fused[i], exact[i], 1e-5 * largest(exact[i]))) << i;
  }
}

TEST_P(SemanticGroupingKernel, NothingGivesZeros) {
  const Sizes no_image{0, 5, 3, 4}, no_position{2, 5, 3, 0};
  for (const auto& sizes : {no_image, no_position}) {
    const Case c(sizes);
    const auto fused = run(&grouping::fused, c);
    EXPECT_TRUE(at::equal(fused[0], torch::zeros_like(c.grad_slots))) << sizes;
    EXPECT_EQ(fused[1].sizes(), c.grad_scores.sizes());
    EXPECT_EQ(fused[2].sizes(), c.features.sizes());
    EXPECT_TRUE(at::equal(fused[3], torch::zeros_like(c.prototypes))) << sizes;
  }
}

TEST_P(SemanticGroupingKernel, NotANumberStaysInItsImage) {
  Case c({2, 5, 7, 9});
  const auto expected = run(&grouping::fused, c);
  c.features[0][1][2] = std::nan("");
  const auto fused = run(&grouping::fused, c);
  EXPECT_TRUE(fused[0][0].isnan().all().item<bool>());
  EXPECT_TRUE(fused[1][0].select(1, 2).isnan().all().item<bool>());
  EXPECT_TRUE(fused[3].isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(fused[0][1], expected[0][1]) && at::equal(fused[2][1], expected[2][1]));
}

// ---- Layouts and types ----

TEST_P(SemanticGroupingKernel, EveryLayoutGivesTheSame) {
  const Case c({3, 37, 40, 61});
  const auto expected = run(&grouping::fused, c);
  const auto wide = at::zeros({3, 80, 122});
  const auto strided = wide.slice(1, 0, 80, 2).slice(2, 1, 122, 2);
  strided.copy_(c.features);
  const auto channels_last = c.features.transpose(1, 2).contiguous().transpose(1, 2);
  for (const auto& features : {strided, channels_last}) {
    Case other = c;
    other.features = features;
    other.prototypes = c.prototypes.t().contiguous().t();
    other.grad_scores = c.grad_scores.transpose(1, 2).contiguous().transpose(1, 2);
    other.grad_slots = c.grad_slots.transpose(1, 2).contiguous().transpose(1, 2);
    EXPECT_TRUE(equal(run(&grouping::fused, other), expected)) << features.strides();
  }
  Case summed = c;
  summed.grad_slots = torch::ones({}).expand_as(c.grad_slots);
  summed.grad_scores = torch::ones({}).expand_as(c.grad_scores);
  EXPECT_TRUE(as_exact_as_the_reference(summed));
}

TEST_P(SemanticGroupingKernel, GradientOfChannelsLastIsChannelsLast) {
  const auto features =
      floats({2, 8, 5, 6}, 1).contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_();
  const auto result = semantic_grouping(features, floats({6, 8}, 2),
                                        SemanticGroupingOptions().backend(Backend::kFused));
  const auto gradient = torch::autograd::grad({result.slots.square().sum()}, {features})[0];
  EXPECT_TRUE(gradient.is_contiguous(torch::MemoryFormat::ChannelsLast));
}

TEST_P(SemanticGroupingKernel, ScoresLieInMemoryByPosition) {
  const auto features = floats({2, 16, 5, 6}, 1);
  const auto result = semantic_grouping(features, floats({7, 16}, 2),
                                        SemanticGroupingOptions().backend(Backend::kFused));
  EXPECT_TRUE(result.scores.is_contiguous(torch::MemoryFormat::ChannelsLast));
}

/// Slots, scores and gradients of features in `type` and prototypes in float32.
Tensors run_half(const Case& c, at::ScalarType type) {
  const auto features = c.features.to(type).requires_grad_();
  const auto prototypes = c.prototypes.detach().requires_grad_();
  const auto [slots, scores, present] = grouping::fused(features, prototypes, kTemperature, kEps);
  const auto gradients = torch::autograd::grad({slots, scores}, {features, prototypes},
                                               {c.grad_slots.to(type), c.grad_scores});
  return {slots.detach(), scores.detach(), gradients[0], gradients[1]};
}

TEST_P(SemanticGroupingKernel, Float16IsThatOfFloat32) {
  for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, 300, 33, 300}, Sizes{3, 5, 7, 9}}) {
    Case c(sizes);
    c.features = c.features.to(torch::kHalf).to(torch::kFloat);
    c.grad_slots = c.grad_slots.to(torch::kHalf).to(torch::kFloat);
    const auto half = run_half(c, torch::kHalf);
    const auto full = run(&grouping::fused, c);
    EXPECT_TRUE(at::equal(half[0], full[0].to(torch::kHalf))) << sizes;
    EXPECT_TRUE(at::equal(half[1], full[1])) << sizes;
    // its slots, rounded, are what the backward pass starts from
    EXPECT_EQ(half[2].scalar_type(), torch::kHalf);
    EXPECT_TRUE(within(half[2], full[2], 2e-3 * largest(full[2]))) << sizes;
    EXPECT_TRUE(within(half[3], full[3], 2e-3 * largest(full[3]))) << sizes;
  }
}

TEST_P(SemanticGroupingKernel, BFloat16IsMoreExactThanLibTorchOperationsInIt) {
  for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, 300, 33, 300}, Sizes{3, 5, 7, 9},
                            Sizes{2, 256, 256, 49}, Sizes{1, 450, 255, 197}}) {
    Case c(sizes);
    c.features = c.features.to(torch::kBFloat16).to(torch::kFloat);
    c.grad_slots = c.grad_slots.to(torch::kBFloat16).to(torch::kFloat);
    const auto exact = run(&grouping::reference, c, torch::kDouble);
    const auto plain = run(&grouping::reference, c, torch::kBFloat16);
    const auto fused = run_half(c, torch::kBFloat16);
    for (std::size_t i = 0; i < 4; ++i) {
      const auto error = [&](const torch::Tensor& actual) {
        return (actual.to(torch::kDouble) - exact[i]).norm().item<double>();
      };
      EXPECT_LT(error(fused[i]), error(plain[i])) << sizes << " " << i;
      const bool is_float = i == 1 || i == 3;
      EXPECT_EQ(fused[i].scalar_type(), is_float ? torch::kFloat : torch::kBFloat16);
    }
  }
}

// ---- Presence ----

TEST_P(SemanticGroupingKernel, PresentIsWhatWinsAPosition) {
  for (const auto& sizes : {Sizes{3, 37, 40, 61}, Sizes{1, 300, 8, 7}, Sizes{2, 1, 3, 4},
                            Sizes{1, 16, 5, 300}, Sizes{2, 4, 4, 0}}) {
    const Case c(sizes);
    const auto [slots, scores, present] =
        grouping::fused(c.features, c.prototypes, kTemperature, kEps);
    if (sizes.positions > 0) {
      EXPECT_TRUE(at::equal(present, grouping::present(scores))) << sizes;
    } else {
      EXPECT_FALSE(present.any().item<bool>());
    }
  }
}

TEST_P(SemanticGroupingKernel, TiesGoToTheLowestAlsoAmongNegativeScores) {
  const auto features = torch::ones({1, 3, 2});
  for (const std::int64_t winner : {0, 5, 18}) {
    const auto prototypes = -torch::ones({21, 3});
    prototypes.slice(0, winner).select(1, 2).fill_(-0.2);  // -0.89, after scores of -1
    const auto [slots, scores, present] = grouping::fused(features, prototypes, kTemperature, kEps);
    ASSERT_LT(scores.max().item<float>(), 0);
    EXPECT_TRUE(at::equal(present[0].nonzero().flatten(), torch::tensor({winner}))) << winner;
  }
}

// ---- Memory ----

TEST(SemanticGroupingMemory, HoldsNothingOfTheSizeOfTheScoresBesideThem) {
  const Case c({8, 256, 64, 196});
  const auto bytes = [](const Tensors& tensors) {
    std::int64_t sum = 0;
    for (const auto& tensor : tensors) sum += static_cast<std::int64_t>(tensor.nbytes());
    return sum;
  };
  const auto results = run(&grouping::fused, c);
  const auto table = bytes({c.prototypes}), scores = bytes({results[1]});
  const auto slack = 4 * table;  // packed prototypes, norms, totals
  ASSERT_LT(slack, scores / 4);
  const auto forward = memory_growth([&] {
    const torch::NoGradGuard no_grad;
    grouping::fused(c.features, c.prototypes, kTemperature, kEps);
  });
  EXPECT_LE(forward.peak, bytes({results[0], results[1]}) + slack);
  // the gradient of the prototypes is summed in eight parts
  const auto both = memory_growth([&] { run(&grouping::fused, c); });
  EXPECT_LE(both.peak, bytes(results) + 8 * table + slack);
}

// ---- Determinism and threads ----

TEST_P(SemanticGroupingKernel, RunsAndThreadCountsGiveTheSameBits) {
  for (const auto& sizes : {Sizes{1, 70, 33, 300}, Sizes{3, 37, 40, 61}, Sizes{11, 20, 16, 49}}) {
    const Case c(sizes);
    const auto first = run(&grouping::fused, c);
    for (const int threads : {1, 2, 3, 8}) {
      const Threads used(threads);
      for (int repeat = 0; repeat < 3; ++repeat) {
        EXPECT_TRUE(equal(run(&grouping::fused, c), first)) << sizes << " threads " << threads;
      }
    }
  }
}

TEST(SemanticGroupingThreads, AreUsed) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one processor";
  const Threads two(2);
  const auto seconds = [](clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const Case c({8, 256, 256, 49});
  const auto all = seconds(CLOCK_PROCESS_CPUTIME_ID), own = seconds(CLOCK_THREAD_CPUTIME_ID);
  for (int repeat = 0; repeat < 20; ++repeat) {
    grouping::cpu_forward(c.features, c.prototypes, kTemperature, kEps);
  }
  EXPECT_LT(seconds(CLOCK_THREAD_CPUTIME_ID) - own,
            0.9 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - all));
}

// ---- Choice and errors ----

TEST(SemanticGroupingChoice, SaysYesToFloatsOnTheCpu) {
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    const auto choice = grouping::choose(at::empty({1, 2, 3}, type), 0.07);
    EXPECT_TRUE(choice.fused) << type;
    EXPECT_EQ(choice.why_not, "");
  }
  EXPECT_TRUE(grouping::choose(at::empty({1, 2, 3}), 0.025).fused);
  EXPECT_TRUE(grouping::choose(at::empty({0, 2, 3, 4}), 100).fused);
}

TEST(SemanticGroupingChoice, SaysWhyNot) {
  const auto why_not = [](const torch::Tensor& features, double temperature) {
    const auto choice = grouping::choose(features, temperature);
    EXPECT_FALSE(choice.fused);
    return choice.why_not;
  };
  EXPECT_EQ(why_not(at::empty({1, 2, 3}, torch::kDouble), 0.07), "no kernel for Double on cpu");
  EXPECT_EQ(why_not(at::empty({1, 2, 3}, torch::kMeta), 0.07), "no kernel for Float on meta");
  EXPECT_EQ(why_not(at::empty({1, 2, 3}), 0.02), "the kernel needs temperature >= 0.025, got 0.02");
}

TEST(SemanticGroupingChoice, AutoTakesTheKernelWhereItCan) {
  const Case c({2, 17, 16, 25});
  const auto by = [&](Backend backend, double temperature) {
    return semantic_grouping(c.features, c.prototypes,
                             SemanticGroupingOptions().temperature(temperature).backend(backend));
  };
  const auto [slots, scores, present] =
      grouping::fused(c.features, c.prototypes, kTemperature, kEps);
  EXPECT_TRUE(at::equal(by(Backend::kAuto, 0.07).slots, slots));
  EXPECT_TRUE(at::equal(by(Backend::kFused, 0.07).slots, slots));
  EXPECT_FALSE(at::equal(by(Backend::kReference, 0.07).slots, slots));
  EXPECT_TRUE(at::equal(by(Backend::kAuto, 0.02).slots, by(Backend::kReference, 0.02).slots));
}

TEST(SemanticGroupingChoice, SecondDerivativeIsAnError) {
  const auto says = [](bool by_slots) {
    const auto features = floats({2, 4, 6}, 1).requires_grad_();
    const auto grouped = semantic_grouping(features, floats({5, 4}, 2),
                                           SemanticGroupingOptions().backend(Backend::kFused));
    const auto value = (by_slots ? grouped.slots : grouped.scores).square().sum();
    const auto gradient = torch::autograd::grad({value}, {features}, {}, /*retain_graph=*/true,
                                                /*create_graph=*/true)[0];
    return error_text<c10::NotImplementedError>(
        [&] { torch::autograd::grad({gradient.square().sum()}, {features}); });
  };
  const std::string expected = "semantic_grouping: double backward needs Backend::kReference";
  EXPECT_EQ(says(true), expected);
  EXPECT_EQ(says(false), expected);
}
