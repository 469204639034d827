// The CUDA kernels of semantic grouping, emulated, against the reference in float64.
#include <ATen/Context.h>
#include <gtest/gtest.h>
#include <slotcon/kernel/semantic_grouping/cuda.h>
#include <slotcon/kernel/semantic_grouping/reference.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/schedules.h"
#include "tests/kernel/fused.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tolerance.h"

namespace emulation = slotcon::emulation;
namespace grouping = slotcon::kernel::semantic_grouping;
using emulation::kSchedules;
using emulation::Schedule;
using slotcon::testing::as_accurate;
using slotcon::testing::noise;
using slotcon::testing::tolerance;

namespace {

constexpr double kTemperature = 0.07;
constexpr double kEps = 1e-6;
constexpr std::array<at::ScalarType, 3> kTypes{at::kFloat, at::kBFloat16, at::kHalf};

struct Sizes {
  std::int64_t images, slots, dims, positions;
};

std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "B " << sizes.images << " K " << sizes.slots << " D " << sizes.dims << " N "
             << sizes.positions;
}

/// The arguments of a call and of its backward pass, in numbers that every type of the test has; an
/// undefined gradient is not passed on.
struct Case {
  explicit Case(const Sizes& s, at::ScalarType t = at::kFloat)
      : type(t),
        features(numbers({s.images, s.dims, s.positions}, 1)),
        prototypes(numbers({s.slots, s.dims}, 2)),
        grad_slots(numbers({s.images, s.slots, s.dims}, 3)),
        grad_scores(numbers({s.images, s.slots, s.positions}, 4)) {}

  torch::Tensor numbers(at::IntArrayRef sizes, std::uint64_t seed) const {
    return noise(sizes, seed).to(type).to(at::kFloat);
  }

  at::ScalarType type;
  torch::Tensor features, prototypes, grad_slots, grad_scores;
};

/// What a pass forward and backward gives, in this order.
using Results = std::vector<torch::Tensor>;
constexpr const char* kNames[] = {"slots", "scores", "gradient of features",
                                  "gradient of prototypes"};

Results reference(const Case& c, at::ScalarType type) {
  const auto features = c.features.detach().to(type).requires_grad_();
  const auto prototypes = c.prototypes.detach().to(type).requires_grad_();
  const auto [slots, scores] = grouping::reference(features, prototypes, kTemperature, kEps);
  Results outputs, incoming;
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

Results emulated(const Case& c, grouping::Wanted wanted = {true, true}) {
  const auto features = c.features.to(c.type);
  const auto forward = grouping::cuda_forward(features, c.prototypes, kTemperature, kEps);
  grouping::Incoming incoming;
  if (c.grad_slots.defined()) incoming.slots = c.grad_slots.to(c.type);
  if (c.grad_scores.defined()) incoming.scores = c.grad_scores;
  const auto [grad_features, grad_prototypes] = grouping::cuda_backward(
      features, c.prototypes, forward, incoming, kTemperature, kEps, wanted);
  return {forward.slots, forward.scores, grad_features, grad_prototypes};
}

double largest(const torch::Tensor& values) {
  return values.numel() == 0 ? 0 : values.abs().max().item<double>();
}

/// A case and what is right for it.
class Judge {
 public:
  explicit Judge(const Case& c)
      : case_(c), exact_(reference(c, at::kDouble)), reference_(reference(c, c.type)) {
    for (std::size_t i = 0; i < exact_.size(); ++i) {  // float16 overflows: then there is no excuse
      if (!reference_[i].isfinite().all().item<bool>()) reference_[i] = exact_[i];
    }
  }

  /// The errors against float64 are at most twice those of the reference in the same type, beside a
  /// rounding of the result, and of the terms it sums, where the reference happens to make none.
  testing::AssertionResult as_exact_as_the_reference(const Results& results) const {
    for (std::size_t i = 0; i < exact_.size(); ++i) {
      const auto result =
          as_accurate(results[i].to(at::kFloat), reference_[i], exact_[i], 2, scale_of(i));
      if (!result) return testing::AssertionFailure() << kNames[i] << ": " << result.message();
    }
    return testing::AssertionSuccess();
  }

 private:
  /// In units of as_accurate(), of which float32 has one a rounding. Gradients of half types have
  /// four: of the slopes and weights that are multiplied, of the products' sum, of the result.
  double scale_of(std::size_t i) const {
    const bool half = case_.type != at::kFloat;
    const double unit = half ? tolerance(case_.type) / 2e-7 : 1;
    if (i == 0) return unit * largest(case_.features);
    if (i == 1) return unit;
    return unit * (half ? 4 : 1) * (largest(exact_[i]) + largest_term());
  }

  /// The largest term that a gradient is a difference of: with one channel, say, all of the scores'
  /// gradient cancels, and with one position all of the slots'.
  double largest_term() const {
    if (case_.features.numel() == 0) return 0;
    const auto norms = case_.prototypes.norm(2, {1}).clamp_min(1e-3);
    double term = 0;
    if (case_.grad_scores.defined()) {
      const auto terms = case_.grad_scores.abs();
      term += largest(terms.sum(1) / case_.features.norm(2, {1}).clamp_min(1e-3));
      term += largest(terms.sum(2).sum(0) / norms);
    }
    if (case_.grad_slots.defined()) {
      const auto slopes = case_.grad_slots.norm(2, {2}) / kTemperature;
      term += largest(slopes) / static_cast<double>(case_.features.size(2));
    }
    return term;
  }

  Case case_;
  Results exact_, reference_;
};

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
    EXPECT_TRUE(slotcon::testing::within(actual, expected, 1e-5 * largest(expected)));
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
  EXPECT_TRUE(slotcon::testing::within(results[0], exact[0], 2e-3 * largest(exact[0])));
  EXPECT_TRUE(slotcon::testing::within(results[3], exact[3], 4e-3 * largest(exact[3])));
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
    }
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
      EXPECT_TRUE(slotcon::testing::close(results[i], expected[i])) << kNames[i];
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
        for (std::size_t i = 0; i < 4; ++i) {
          EXPECT_TRUE(at::equal(results[i], expected[i])) << kNames[i] << " " << schedule;
        }
      }
    }
  }
}

TEST_F(SemanticGroupingCuda, EveryPlantedBugIsFound) {
  std::vector<Case> cases;
  for (const auto& sizes : {Sizes{2, 36, 39, 61}, Sizes{1, 1026, 20, 33}}) {
    cases.emplace_back(sizes);
    cases.emplace_back(sizes);
    auto& features = cases.back().features;
    features = features.transpose(1, 2).contiguous().transpose(1, 2);
  }
  std::vector<Judge> judges(cases.begin(), cases.end());
  const auto all_right = [&] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!judges[i].as_exact_as_the_reference(emulated(cases[i]))) return false;
    }
    return true;
  };
  ASSERT_TRUE(all_right());
  emulation::expect_every_planted_bug_is_found(all_right);
}
