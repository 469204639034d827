// The CUDA kernels of semantic grouping, emulated, against the reference in float64.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "tests/cuda/semantic_grouping_cases.h"
#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/schedules.h"

namespace emulation = slotcon::emulation;
namespace grouping = slotcon::kernel::semantic_grouping;
using emulation::kSchedules;
using slotcon::testing::close;
using slotcon::testing::within;
using slotcon::testing::semantic_grouping::Case;
using slotcon::testing::semantic_grouping::fused;
using slotcon::testing::semantic_grouping::Judge;
using slotcon::testing::semantic_grouping::kNames;
using slotcon::testing::semantic_grouping::kTypes;
using slotcon::testing::semantic_grouping::largest;
using slotcon::testing::semantic_grouping::reference;
using slotcon::testing::semantic_grouping::Results;
using slotcon::testing::semantic_grouping::Sizes;

namespace {

Results emulated(const Case& c, grouping::Wanted wanted = {true, true}) {
  return fused(c, at::kCPU, wanted);
}

testing::AssertionResult as_exact_as_the_reference(const Case& c) {
  return Judge(c).as_exact_as_the_reference(emulated(c));
}

class SemanticGroupingCuda : public emulation::Test {};

}  // namespace

// ---- Values and gradients ----

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtEveryTail) {
  constexpr std::int64_t kPositions[] = {1, 7, 49, 196}, kDims[] = {1, 33, 64, 256};
  for (std::int64_t slots = 1; slots <= 300; slots += 1 + slots / 40) {
    const Sizes sizes{1 + slots % 2, slots, kDims[slots % 4], kPositions[slots / 4 % 4]};
    EXPECT_TRUE(as_exact_as_the_reference(Case(sizes))) << sizes;
    if (sizes.dims * sizes.positions > 64 * 49) continue;  // half types are slow on the CPU
    for (const auto type : {at::kBFloat16, at::kHalf}) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, type))) << sizes << " " << type;
    }
  }
}

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtLargeSizes) {
  for (const auto& sizes : {Sizes{2, 256, 256, 49}, Sizes{1, 300, 33, 196}, Sizes{1, 2048, 64, 196},
                            Sizes{1, 1025, 33, 7}, Sizes{9, 17, 20, 10}}) {
    for (const auto type : kTypes) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, type))) << sizes << " " << type;
    }
  }
}

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtOtherNumbers) {
  for (const auto type : kTypes) {
    for (const auto& [temperature, eps] :
         {std::pair(0.025, 1e-6), std::pair(1.5, 0.25), std::pair(0.07, 0.0)}) {
      Case c({2, 37, 40, 61}, type);
      c.temperature = temperature;
      c.eps = eps;
      EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature << " " << eps << " " << type;
    }
  }
}

TEST_F(SemanticGroupingCuda, SlotsThatWinNothingAreAsExactAsTheReference) {
  for (const auto type : kTypes) {
    Case c({1, 64, 128, 196}, type);
    const auto few = c.prototypes.slice(0, 0, 4).repeat({49, 1}).t();
    c.features = (few + 0.1 * c.features[0]).unsqueeze(0).to(type).to(at::kFloat);
    EXPECT_TRUE(as_exact_as_the_reference(c)) << type;
  }
}

TEST_F(SemanticGroupingCuda, ResultsHaveTheTypesOfTheContract) {
  for (const auto type : kTypes) {
    const auto results = emulated(Case({2, 8, 12, 5}, type));
    EXPECT_EQ(results[0].scalar_type(), type);
    EXPECT_EQ(results[1].scalar_type(), at::kFloat);
    EXPECT_TRUE(results[1].transpose(1, 2).is_contiguous());
    EXPECT_EQ(results[2].scalar_type(), type);
    EXPECT_EQ(results[3].scalar_type(), at::kFloat);
  }
}

TEST_F(SemanticGroupingCuda, OneOutputUsedGivesItsGradientAlone) {
  for (const auto type : kTypes) {
    for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, 1028, 20, 10}}) {
      Case slots(sizes, type), scores(sizes, type);
      slots.grad_scores.reset();
      scores.grad_slots.reset();
      EXPECT_TRUE(as_exact_as_the_reference(slots)) << sizes << " " << type;
      EXPECT_TRUE(as_exact_as_the_reference(scores)) << sizes << " " << type;
    }
  }
}

TEST_F(SemanticGroupingCuda, OneGradientWantedIsTheSame) {
  const Case c({2, 37, 40, 61});
  const auto both = emulated(c);
  const auto features = emulated(c, {true, false}), prototypes = emulated(c, {false, true});
  EXPECT_TRUE(at::equal(features[2], both[2]));
  EXPECT_FALSE(features[3].defined());
  EXPECT_FALSE(prototypes[2].defined());
  EXPECT_TRUE(at::equal(prototypes[3], both[3]));
}

// ---- Edge cases ----

TEST_F(SemanticGroupingCuda, ZeroVectorsHaveTheGradientOfTheReference) {
  Case c({2, 5, 7, 9});
  c.features.select(2, 3).zero_();
  c.prototypes[2].zero_();
  const auto exact = reference(c, at::kDouble), results = emulated(c);
  EXPECT_TRUE(at::equal(results[1].select(2, 3), at::zeros({2, 5})));
  // The floor 1e-12 makes these gradients huge; the others must not be measured by them.
  const auto expect_close = [](const torch::Tensor& actual, const torch::Tensor& expected) {
    EXPECT_TRUE(within(actual, expected, 1e-5 * largest(expected)));
  };
  EXPECT_GT(largest(results[2].select(2, 3)), 1e9);
  EXPECT_GT(largest(results[3][2]), 1e9);
  expect_close(results[2].select(2, 3), exact[2].select(2, 3));
  expect_close(results[3][2], exact[3][2]);
  expect_close(results[2].slice(2, 0, 3), exact[2].slice(2, 0, 3));
  expect_close(results[2].slice(2, 4), exact[2].slice(2, 4));
  expect_close(results[3].slice(0, 0, 2), exact[3].slice(0, 0, 2));
  expect_close(results[3].slice(0, 3), exact[3].slice(0, 3));
  expect_close(results[0], exact[0]);
}

TEST_F(SemanticGroupingCuda, ZeroVectorsOfHalfTypesHarmNothingElse) {
  Case c({2, 5, 7, 9}, at::kHalf);
  c.features.select(2, 3).zero_();
  const auto results = emulated(c);
  const auto exact = reference(c, at::kDouble);
  EXPECT_TRUE(within(results[0], exact[0], 2e-3 * largest(exact[0])));
  EXPECT_TRUE(within(results[3], exact[3], 4e-3 * largest(exact[3])));
  EXPECT_TRUE(results[2].slice(2, 4).isfinite().all().item<bool>());
}

TEST_F(SemanticGroupingCuda, NothingGivesZeros) {
  for (const auto type : kTypes) {
    for (const auto& sizes : {Sizes{0, 5, 3, 4}, Sizes{2, 5, 3, 0}}) {
      const Case c(sizes, type);
      const auto results = emulated(c);
      EXPECT_TRUE(at::equal(results[0], at::zeros_like(c.grad_slots, type))) << sizes;
      EXPECT_EQ(results[1].sizes(), c.grad_scores.sizes());
      EXPECT_EQ(results[2].sizes(), c.features.sizes());
      EXPECT_TRUE(at::equal(results[3], at::zeros_like(c.prototypes))) << sizes;
      EXPECT_FALSE(results[4].any().item<bool>()) << sizes;
    }
  }
}

TEST_F(SemanticGroupingCuda, TheFirstOfEqualScoresWinsAndNotANumberAboveAll) {
  for (const auto slots : {36, 1030}) {
    Case c({3, slots, 7, 9});
    c.prototypes.slice(0, slots / 2) = c.prototypes.slice(0, 0, slots - slots / 2);  // each twice
    c.features[1].select(1, 3).zero_();  // all scores equal
    c.prototypes[slots / 2 - 3][4] = std::nan("");
    const auto results = emulated(c);
    EXPECT_TRUE(at::equal(results[4], grouping::present(results[1])));
    EXPECT_TRUE(results[4].sum(1).eq(1).all().item<bool>());
    c.prototypes[slots / 2 - 3][4] = 0;
    const auto numbers = emulated(c);
    EXPECT_TRUE(at::equal(numbers[4], grouping::present(numbers[1])));
    EXPECT_FALSE(numbers[4].slice(1, slots / 2).any().item<bool>());
    EXPECT_TRUE(numbers[4][1][0].item<bool>());
  }
}

TEST_F(SemanticGroupingCuda, NotANumberStaysInItsImage) {
  Case c({2, 5, 7, 9});
  const auto expected = emulated(c);
  c.features[0][1][2] = std::nan("");
  const auto results = emulated(c);
  EXPECT_TRUE(results[0][0].isnan().all().item<bool>());
  EXPECT_TRUE(results[1][0].select(1, 2).isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(results[0][1], expected[0][1]));
  EXPECT_TRUE(at::equal(results[2][1], expected[2][1]));
}

// ---- Layouts ----

TEST_F(SemanticGroupingCuda, EveryLayoutGivesTheSame) {
  const Case c({3, 37, 40, 61});
  const auto expected = emulated(c);
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
    const auto results = emulated(other);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(close(results[i], expected[i])) << kNames[i];
    }
    EXPECT_EQ(results[2].transpose(1, 2).is_contiguous(), features.stride(1) == 1);
  }
}

// ---- What the emulation is for ----

TEST_F(SemanticGroupingCuda, EveryScheduleGivesTheSameBits) {
  for (const auto type : kTypes) {
    for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, 1028, 33, 10}}) {
      const Case c(sizes, type);
      const auto expected = emulated(c);
      for (const auto schedule : kSchedules) {
        const emulation::With order(schedule);
        const auto results = emulated(c);
        for (std::size_t i = 0; i < results.size(); ++i) {
          EXPECT_TRUE(at::equal(results[i], expected[i])) << kNames[i] << " " << schedule;
        }
      }
    }
  }
}

namespace {

/// Whether a few cases, which between them come by every line of the kernels, are right.
std::function<bool()> all_right() {
  std::vector<Case> cases;
  for (const auto& sizes : {Sizes{2, 36, 39, 61}, Sizes{1, 1026, 20, 33}}) {
    cases.emplace_back(sizes);
    cases.emplace_back(sizes);
    auto& features = cases.back().features;
    features = features.transpose(1, 2).contiguous().transpose(1, 2);
  }
  return [cases, judges = std::vector<Judge>(cases.begin(), cases.end())] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!judges[i].as_exact_as_the_reference(emulated(cases[i]))) return false;
    }
    return true;
  };
}

}  // namespace

TEST_F(SemanticGroupingCuda, EveryPlantedBugIsFound) {
  emulation::expect_every_planted_bug_is_found(all_right());
}

#if defined(SLOTCON_EMULATION_ASAN)
TEST_F(SemanticGroupingCuda, EveryOverrunIsFound) {
  emulation::expect_every_overrun_is_found(all_right());
}
#endif
