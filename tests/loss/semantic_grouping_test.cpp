#include <gtest/gtest.h>
#include <slotcon/loss/semantic_grouping.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/serialize.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tolerance.h"

using slotcon::Backend;
using slotcon::Grouping;
using slotcon::SemanticGrouping;
using slotcon::SemanticGroupingOptions;
using slotcon::functional::semantic_grouping;
using slotcon::testing::Autocast;
using slotcon::testing::close;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::joined;
using slotcon::testing::noise;
using slotcon::testing::Tensors;

namespace {

/// The formulas one number at a time: features [B,D,N] and prototypes [K,D] of any type, in
/// float64.
Grouping grouping_by_loops(const torch::Tensor& features, const torch::Tensor& prototypes,
                           double temperature = 0.07, double eps = 1e-6) {
  const auto features64 = features.detach().to(torch::kDouble);
  const auto prototypes64 = prototypes.detach().to(torch::kDouble);
  const auto x = features64.accessor<double, 3>();
  const auto p = prototypes64.accessor<double, 2>();
  const auto images = x.size(0), dims = x.size(1), positions = x.size(2), slots = p.size(0);
  const auto pooled64 = torch::zeros({images, slots, dims}, torch::kDouble);
  const auto scores64 = torch::zeros({images, slots, positions}, torch::kDouble);
  auto pooled = pooled64.accessor<double, 3>();
  auto score = scores64.accessor<double, 3>();
  for (std::int64_t b = 0; b < images; ++b) {
    std::vector<double> total(static_cast<std::size_t>(slots), 0.0);
    for (std::int64_t n = 0; n < positions; ++n) {
      double x_square = 0;
      for (std::int64_t d = 0; d < dims; ++d) x_square += x[b][d][n] * x[b][d][n];
      double exp_sum = 0;
      for (std::int64_t k = 0; k < slots; ++k) {
        double dot = 0, p_square = 0;
        for (std::int64_t d = 0; d < dims; ++d) dot += p[k][d] * x[b][d][n];
        for (std::int64_t d = 0; d < dims; ++d) p_square += p[k][d] * p[k][d];
        score[b][k][n] =
            dot / std::max(std::sqrt(p_square), 1e-12) / std::max(std::sqrt(x_square), 1e-12);
        exp_sum += std::exp(score[b][k][n] / temperature);
      }
      for (std::int64_t k = 0; k < slots; ++k) {
        const double a = std::exp(score[b][k][n] / temperature) / exp_sum + eps;
        total[static_cast<std::size_t>(k)] += a;
        for (std::int64_t d = 0; d < dims; ++d) pooled[b][k][d] += a * x[b][d][n];
      }
    }
    for (std::int64_t k = 0; k < slots; ++k) {
      for (std::int64_t d = 0; d < dims; ++d) pooled[b][k][d] /= total[static_cast<std::size_t>(k)];
    }
  }
  return {pooled64, scores64, {}};
}

testing::AssertionResult matches_loops(const Grouping& grouping, const torch::Tensor& features,
                                       const torch::Tensor& prototypes) {
  const auto expected = grouping_by_loops(features, prototypes);
  const auto slots = close(grouping.slots, expected.slots);
  return slots ? close(grouping.scores, expected.scores) : slots;
}

bool same(const Grouping& a, const Grouping& b) {
  return at::equal(a.slots, b.slots) && at::equal(a.scores, b.scores);
}

torch::Tensor floats(at::IntArrayRef sizes, std::uint64_t seed) {
  return noise(sizes, seed).to(torch::kFloat);
}

}  // namespace

// ---- Values ----

TEST(SemanticGrouping, HandComputedCase) {
  const auto features =
      torch::tensor({{{3.0, 1.0}, {4.0, 0.0}}}, torch::kDouble);  // (3,4) and (1,0)
  const auto prototypes = torch::tensor({{1.0, 0.0}, {0.0, 2.0}}, torch::kDouble);
  const auto grouping =
      semantic_grouping(features, prototypes, SemanticGroupingOptions().temperature(0.5).eps(0));
  EXPECT_TRUE(close(grouping.scores, torch::tensor({{{0.6, 1.0}, {0.8, 0.0}}}, torch::kDouble)));
  EXPECT_TRUE(close(grouping.slots, torch::tensor({{{1.6260188628138905, 1.2520377256277813},
                                                    {2.6679078260988445, 3.3358156521976894}}},
                                                  torch::kDouble)));
}

TEST(SemanticGrouping, MatchesScalarLoops) {
  const auto features = noise({3, 7, 11}, 1);
  const auto prototypes = noise({5, 7}, 2);
  EXPECT_TRUE(matches_loops(semantic_grouping(features, prototypes), features, prototypes));
  const auto grouping =
      semantic_grouping(features, prototypes, SemanticGroupingOptions().temperature(0.3).eps(0.25));
  const auto expected = grouping_by_loops(features, prototypes, 0.3, 0.25);
  EXPECT_TRUE(close(grouping.slots, expected.slots));
  EXPECT_TRUE(close(grouping.scores, expected.scores));
}

TEST(SemanticGrouping, MatchesScalarLoopsInFloat32AtOddAndLargeSizes) {
  for (const auto& [slots, dims, positions] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {17, 33, 49}, {65, 127, 197}, {256, 64, 81}}) {
    const auto features = floats({2, dims, positions}, 3);
    const auto prototypes = floats({slots, dims}, 4);
    EXPECT_TRUE(matches_loops(semantic_grouping(features, prototypes), features, prototypes))
        << slots << " " << dims << " " << positions;
  }
}

// ---- Gradients ----

TEST(SemanticGrouping, DerivativesMatchCentralDifferences) {
  const auto f = [](const Tensors& a) {
    const auto grouping = semantic_grouping(a[0], a[1], SemanticGroupingOptions().temperature(0.3));
    return joined({grouping.slots, grouping.scores});
  };
  EXPECT_TRUE(gradcheck(f, {noise({2, 3, 2, 2}, 5), noise({3, 3}, 6)}));
  EXPECT_TRUE(gradgradcheck(f, {noise({2, 3, 2, 2}, 5), noise({3, 3}, 6)}));
}

TEST(SemanticGrouping, GradientMatchesCentralDifferencesAtThePublishedTemperature) {
  const auto f = [](const Tensors& a) {
    const auto grouping = semantic_grouping(a[0], a[1]);
    return joined({grouping.slots, grouping.scores});
  };
  EXPECT_TRUE(gradcheck(f, {noise({2, 4, 6}, 7), noise({5, 4}, 8)}));
}

// ---- Properties ----

TEST(SemanticGrouping, WeightsOfASlotSumToOneOverPositions) {
  // Features that are the unit vectors: slot k holds its weights themselves.
  const auto features = torch::eye(6, torch::kDouble).unsqueeze(0);
  const auto weights = semantic_grouping(features, noise({4, 6}, 1)).slots;
  EXPECT_TRUE(close(weights.sum(2), torch::ones({1, 4}, torch::kDouble)));
  EXPECT_GT(weights.min().item<double>(), 0);
}

TEST(SemanticGrouping, EpsAddsEveryPositionToEverySlot) {
  const auto features = noise({2, 5, 9}, 1);
  const auto prototypes = noise({3, 5}, 2);
  const auto flooded = semantic_grouping(features, prototypes, SemanticGroupingOptions().eps(1e15));
  EXPECT_TRUE(close(flooded.slots, features.mean(2).unsqueeze(1).expand({2, 3, 5})));
}

TEST(SemanticGrouping, SlotThatWinsNothingIsTheMeanFeature) {
  // Only position 0 is in the second half space; at this temperature the third prototype's tail is
  // 0.
  const auto features = torch::tensor({{{2.0, 3.0, 4.0}, {1.0, 0.5, -1.0}}}, torch::kDouble);
  const auto prototypes = torch::tensor({{1.0, 0.1}, {1.0, -0.1}, {-1.0, 0.0}}, torch::kDouble);
  const auto slots =
      semantic_grouping(features, prototypes, SemanticGroupingOptions().temperature(1e-3)).slots;
  EXPECT_TRUE(close(slots.select(1, 2), features.mean(2)));
}

TEST(SemanticGrouping, SmallTemperaturePoolsWhatEachSlotWins) {
  const auto features = noise({2, 4, 24}, 3);
  const auto prototypes = noise({3, 4}, 4);
  const auto grouping = semantic_grouping(features, prototypes,
                                          SemanticGroupingOptions().temperature(1e-5).eps(1e-30));
  const auto winner = grouping.scores.argmax(1);
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t k = 0; k < 3; ++k) {
      const auto won = (winner[b] == k).nonzero().flatten();
      ASSERT_GT(won.numel(), 0) << "a slot without positions shows nothing here";
      EXPECT_TRUE(close(grouping.slots[b][k], features[b].index_select(1, won).mean(1)));
    }
  }
}

TEST(SemanticGrouping, LargeTemperatureAndEqualPrototypesPoolTheMean) {
  const auto features = noise({2, 4, 12}, 5);
  const auto mean = features.mean(2).unsqueeze(1).expand({2, 3, 4});
  const auto hot = SemanticGroupingOptions().temperature(1e14);
  EXPECT_TRUE(close(semantic_grouping(features, noise({3, 4}, 6), hot).slots, mean));
  const auto equal = semantic_grouping(features, noise({1, 4}, 7).expand({3, 4}));
  EXPECT_TRUE(close(equal.slots, mean));
  EXPECT_TRUE(close(equal.scores, equal.scores.slice(1, 0, 1).expand_as(equal.scores)));
}

TEST(SemanticGrouping, OneSlotIsTheMeanFeature) {
  const auto features = noise({2, 4, 12}, 8);
  const auto slots = semantic_grouping(features, noise({1, 4}, 9)).slots;
  EXPECT_TRUE(close(slots, features.mean(2).unsqueeze(1)));
}

TEST(SemanticGrouping, PermutedPrototypesGivePermutedSlots) {
  const auto features = noise({2, 4, 12}, 1);
  const auto prototypes = noise({5, 4}, 2);
  const auto order = torch::tensor({3, 0, 4, 1, 2});
  const auto grouping = semantic_grouping(features, prototypes);
  const auto permuted = semantic_grouping(features, prototypes.index_select(0, order));
  EXPECT_TRUE(close(permuted.slots, grouping.slots.index_select(1, order)));
  EXPECT_TRUE(close(permuted.scores, grouping.scores.index_select(1, order)));
}

TEST(SemanticGrouping, PermutedPositionsPermuteScoresAndLeaveSlots) {
  const auto features = noise({2, 4, 5}, 1);
  const auto prototypes = noise({3, 4}, 2);
  const auto order = torch::tensor({3, 0, 4, 1, 2});
  const auto grouping = semantic_grouping(features, prototypes);
  const auto permuted = semantic_grouping(features.index_select(2, order), prototypes);
  EXPECT_TRUE(close(permuted.slots, grouping.slots));
  EXPECT_TRUE(close(permuted.scores, grouping.scores.index_select(2, order)));
}

TEST(SemanticGrouping, ScoresIgnoreScaleAndSlotsFollowIt) {
  const auto features = noise({2, 4, 5}, 1);
  const auto prototypes = noise({3, 4}, 2);
  const auto grouping = semantic_grouping(features, prototypes);
  const auto scaled = semantic_grouping(100 * features, 0.01 * prototypes);
  EXPECT_TRUE(close(scaled.scores, grouping.scores));
  EXPECT_TRUE(close(scaled.slots, 100 * grouping.slots));
}

TEST(SemanticGrouping, EachImageIsGroupedOnItsOwn) {
  const auto features = noise({3, 4, 5}, 1);
  const auto prototypes = noise({3, 4}, 2);
  const auto all = semantic_grouping(features, prototypes);
  const auto one = semantic_grouping(features.slice(0, 1, 2), prototypes);
  EXPECT_TRUE(close(one.slots, all.slots.slice(0, 1, 2)));
  EXPECT_TRUE(close(one.scores, all.scores.slice(0, 1, 2)));
}

TEST(SemanticGrouping, TwoCallsAreBitwiseEqual) {
  const auto features = floats({2, 32, 7, 7}, 1).requires_grad_();
  const auto prototypes = floats({16, 32}, 2).requires_grad_();
  const auto gradient = [&](const Grouping& grouping) {
    return torch::autograd::grad({grouping.slots.sum() + grouping.scores.square().sum()},
                                 {features, prototypes});
  };
  const auto first = semantic_grouping(features, prototypes);
  const auto second = semantic_grouping(features, prototypes);
  EXPECT_TRUE(same(first, second));
  const auto a = gradient(first), b = gradient(second);
  EXPECT_TRUE(at::equal(a[0], b[0]) && at::equal(a[1], b[1]));
}

// ---- Edge cases ----

TEST(SemanticGrouping, ZeroFeatureHasScoreZeroAndAddsNothing) {
  auto features = noise({1, 3, 4}, 1);
  features.select(2, 1).zero_();
  const auto prototypes = noise({2, 3}, 2);
  const auto grouping = semantic_grouping(features, prototypes);
  EXPECT_TRUE(at::equal(grouping.scores.select(2, 1), torch::zeros({1, 2}, torch::kDouble)));
  EXPECT_TRUE(matches_loops(grouping, features, prototypes));
}

TEST(SemanticGrouping, ZeroVectorsHaveFiniteGradients) {
  auto features = floats({1, 3, 4}, 1);
  auto prototypes = floats({2, 3}, 2);
  features.select(2, 1).zero_();
  prototypes[1].zero_();
  features.requires_grad_();
  prototypes.requires_grad_();
  const auto grouping = semantic_grouping(features, prototypes);
  (grouping.slots.square().sum() + grouping.scores.square().sum()).backward();
  EXPECT_TRUE(features.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(prototypes.grad().isfinite().all().item<bool>());
}

TEST(SemanticGrouping, AllZeroFeaturesGiveZeroSlots) {
  const auto grouping = semantic_grouping(torch::zeros({2, 3, 4}), floats({5, 3}, 1));
  EXPECT_TRUE(at::equal(grouping.slots, torch::zeros({2, 5, 3})));
  EXPECT_TRUE(at::equal(grouping.scores, torch::zeros({2, 5, 4})));
}

TEST(SemanticGrouping, NoImageGivesEmptyResultsAndZeroGradients) {
  const auto features = torch::zeros({0, 3, 2, 2}).requires_grad_();
  const auto prototypes = floats({5, 3}, 1).requires_grad_();
  const auto grouping = semantic_grouping(features, prototypes);
  EXPECT_EQ(grouping.slots.sizes(), (std::vector<std::int64_t>{0, 5, 3}));
  EXPECT_EQ(grouping.scores.sizes(), (std::vector<std::int64_t>{0, 5, 2, 2}));
  (grouping.slots.sum() + grouping.scores.sum()).backward();
  EXPECT_TRUE(at::equal(prototypes.grad(), torch::zeros({5, 3})));
  EXPECT_EQ(features.grad().sizes(), features.sizes());
}

TEST(SemanticGrouping, NoPositionGivesZeroSlotsAndZeroGradients) {
  const auto features = torch::zeros({2, 3, 0, 4}).requires_grad_();
  const auto prototypes = floats({5, 3}, 1).requires_grad_();
  const auto grouping = semantic_grouping(features, prototypes);
  EXPECT_TRUE(at::equal(grouping.slots, torch::zeros({2, 5, 3})));
  EXPECT_EQ(grouping.scores.sizes(), (std::vector<std::int64_t>{2, 5, 0, 4}));
  (grouping.slots.sum() + grouping.scores.sum()).backward();
  EXPECT_TRUE(at::equal(prototypes.grad(), torch::zeros({5, 3})));
  EXPECT_EQ(features.grad().sizes(), features.sizes());
}

TEST(SemanticGrouping, MorePrototypesThanPositions) {
  const auto features = noise({2, 4, 2}, 1);
  const auto prototypes = noise({9, 4}, 2);
  const auto grouping = semantic_grouping(features, prototypes);
  EXPECT_TRUE(matches_loops(grouping, features, prototypes));
}

// ---- Shapes and layouts ----

TEST(SemanticGrouping, AnyNumberOfSpatialDimensions) {
  const auto features = noise({2, 4, 24}, 1);
  const auto prototypes = noise({3, 4}, 2);
  const auto flat = semantic_grouping(features, prototypes);
  EXPECT_EQ(flat.scores.sizes(), (std::vector<std::int64_t>{2, 3, 24}));
  for (const auto& spatial :
       std::vector<std::vector<std::int64_t>>{{4, 6}, {2, 3, 4}, {1, 24}, {24, 1, 1}}) {
    std::vector<std::int64_t> sizes{2, 4}, score_sizes{2, 3};
    sizes.insert(sizes.end(), spatial.begin(), spatial.end());
    score_sizes.insert(score_sizes.end(), spatial.begin(), spatial.end());
    const auto grouping = semantic_grouping(features.view(sizes), prototypes);
    EXPECT_TRUE(at::equal(grouping.slots, flat.slots));
    EXPECT_TRUE(at::equal(grouping.scores, flat.scores.view(score_sizes)));
  }
}

TEST(SemanticGrouping, AnyMemoryLayout) {
  const auto prototypes = floats({6, 5}, 2);
  const auto transposed = prototypes.t().contiguous().t();
  const auto wide = floats({2, 10, 4, 6}, 1);
  for (const auto& features :
       {wide.slice(1, 0, 10, 2), wide.slice(1, 5).contiguous(torch::MemoryFormat::ChannelsLast),
        wide.slice(1, 1, 6).transpose(2, 3),
        wide.slice(0, 0, 1).slice(1, 0, 5).expand({3, 5, 4, 6}),
        wide.slice(1, 0, 5).slice(3, 1, 2).expand({2, 5, 4, 6})}) {
    const auto expected = semantic_grouping(features.contiguous(), prototypes);
    const auto grouping = semantic_grouping(features, transposed);
    EXPECT_TRUE(close(grouping.slots, expected.slots)) << features.strides();
    EXPECT_TRUE(close(grouping.scores, expected.scores)) << features.strides();
  }
}

TEST(SemanticGrouping, GradientReachesEveryLayout) {
  const auto base = floats({2, 5, 4, 6}, 1);
  const auto prototypes = floats({6, 5}, 2);
  const auto gradient = [&](torch::Tensor features) {
    features.requires_grad_();
    semantic_grouping(features, prototypes).slots.square().sum().backward();
    return features.grad();
  };
  const auto channels_last = base.clone(torch::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(close(gradient(channels_last), gradient(base.clone())));
}

// ---- Types ----

/// Half types and the backends that compute them in float32; the fused kernel rounds what it
/// multiplies to bfloat16 where the processor does (tests/kernel/semantic_grouping_test.cpp).
const std::pair<at::ScalarType, slotcon::Backend> kComputedInFloat32[] = {
    {torch::kHalf, slotcon::Backend::kReference},
    {torch::kHalf, slotcon::Backend::kFused},
    {torch::kBFloat16, slotcon::Backend::kReference}};

TEST(SemanticGrouping, HalfTypesAreComputedInFloat32) {
  const auto prototypes = floats({6, 16}, 2);
  for (const auto& [type, backend] : kComputedInFloat32) {
    const auto options = SemanticGroupingOptions().backend(backend);
    const auto features = noise({2, 16, 25}, 1).to(type);
    const auto grouping = semantic_grouping(features, prototypes, options);
    EXPECT_EQ(grouping.slots.scalar_type(), type);
    EXPECT_EQ(grouping.scores.scalar_type(), torch::kFloat);
    EXPECT_TRUE(matches_loops(grouping, features, prototypes)) << type << " " << backend;
    const auto half = prototypes.to(type);
    EXPECT_TRUE(matches_loops(semantic_grouping(features, half, options), features, half))
        << type << " " << backend;
  }
}

TEST(SemanticGrouping, HalfGradientsAreThoseOfFloat64) {
  const auto prototypes = noise({6, 16}, 2);
  const auto gradients = [&](const torch::Tensor& features, at::ScalarType type,
                             slotcon::Backend backend) {
    const auto x = features.detach().clone().requires_grad_();
    const auto p = prototypes.to(type, /*non_blocking=*/false, /*copy=*/true).requires_grad_();
    const auto grouping = semantic_grouping(x, p, SemanticGroupingOptions().backend(backend));
    (grouping.scores * noise(grouping.scores.sizes(), 3).to(type)).sum().backward();
    return std::pair(x.grad(), p.grad());
  };
  for (const auto& [type, backend] : kComputedInFloat32) {
    const auto features = noise({2, 16, 25}, 1).to(type);
    const auto [by_features, by_prototypes] = gradients(features, torch::kFloat, backend);
    const auto [features64, prototypes64] =
        gradients(features.to(torch::kDouble), torch::kDouble, slotcon::Backend::kReference);
    EXPECT_TRUE(close(by_features, features64)) << type << " " << backend;
    EXPECT_TRUE(close(by_prototypes, prototypes64)) << type << " " << backend;
  }
}

TEST(SemanticGrouping, HalfNormsDoNotOverflow) {
  const auto features = (300 * noise({1, 64, 9}, 1)).to(torch::kHalf);  // |x|^2 is beyond float16
  const auto prototypes = floats({4, 64}, 2);
  EXPECT_TRUE(matches_loops(semantic_grouping(features, prototypes), features, prototypes));
}

TEST(SemanticGrouping, Float64StaysFloat64) {
  const auto grouping = semantic_grouping(noise({1, 3, 2}, 1), floats({2, 3}, 2));
  EXPECT_EQ(grouping.slots.scalar_type(), torch::kDouble);
  EXPECT_EQ(grouping.scores.scalar_type(), torch::kDouble);
}

TEST(SemanticGrouping, AutocastChangesNothing) {
  const auto features = floats({2, 16, 5, 5}, 1);
  const auto prototypes = floats({6, 16}, 2);
  const auto expected = semantic_grouping(features, prototypes);
  const Autocast autocast;
  EXPECT_TRUE(same(semantic_grouping(features, prototypes), expected));
}

// ---- Backends and errors ----

TEST(SemanticGrouping, AutoIsTheReferenceWhereNothingIsFused) {
  const auto features = noise({2, 16, 5, 5}, 1);
  const auto prototypes = noise({6, 16}, 2);
  const auto by = [&](Backend backend) {
    return semantic_grouping(features, prototypes, SemanticGroupingOptions().backend(backend));
  };
  EXPECT_TRUE(same(by(Backend::kAuto), by(Backend::kReference)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused); }),
            "semantic_grouping: Backend::kFused is unavailable: no kernel for Double on cpu");
}

TEST(SemanticGrouping, FusedRefusesATemperatureThatFloat32CannotHold) {
  const auto options = SemanticGroupingOptions().temperature(0.01).backend(Backend::kFused);
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] {
              semantic_grouping(floats({2, 16, 5, 5}, 1), floats({6, 16}, 2), options);
            }),
            "semantic_grouping: Backend::kFused is unavailable: the kernel needs temperature >= "
            "0.025, got 0.01");
}

TEST(SemanticGrouping, SaysWhatDoesNotFit) {
  const auto says = [](const torch::Tensor& features, const torch::Tensor& prototypes,
                       const SemanticGroupingOptions& options = {}) {
    return error_text<c10::ValueError>([&] { semantic_grouping(features, prototypes, options); });
  };
  const auto features = torch::zeros({2, 4, 3});
  const auto prototypes = torch::zeros({5, 4});
  EXPECT_EQ(says(torch::zeros({2, 4}), prototypes),
            "semantic_grouping: expected features [B,D,*spatial], got [2, 4]");
  EXPECT_EQ(says(features, torch::zeros({5})),
            "semantic_grouping: expected prototypes [K,D] with K >= 1, got [5]");
  EXPECT_EQ(says(features, torch::zeros({0, 4})),
            "semantic_grouping: expected prototypes [K,D] with K >= 1, got [0, 4]");
  EXPECT_EQ(
      says(features, torch::zeros({5, 3})),
      "semantic_grouping: expected features with as many channels as the prototypes, 3, got 4");
  EXPECT_EQ(says(features, prototypes, {6, 4}),
            "semantic_grouping: expected prototypes [6, 4] as the options say, got [5, 4]");
  EXPECT_EQ(says(features, prototypes, {5, 3}),
            "semantic_grouping: expected prototypes [5, 3] as the options say, got [5, 4]");
  EXPECT_EQ(says(features, prototypes.to(torch::kMeta)),
            "semantic_grouping: expected features and prototypes on one device, got cpu and meta");
  EXPECT_EQ(says(features, prototypes, SemanticGroupingOptions().temperature(0)),
            "semantic_grouping: expected temperature > 0, got 0");
  EXPECT_EQ(says(features, prototypes, SemanticGroupingOptions().eps(-1)),
            "semantic_grouping: expected eps >= 0, got -1");
  EXPECT_EQ(
      error_text<c10::TypeError>([&] { semantic_grouping(features.to(torch::kLong), prototypes); }),
      "semantic_grouping: expected a floating dtype, got Long");
}

// ---- The module ----

TEST(SemanticGroupingModule, PrintsItsNumbers) {
  std::ostringstream out;
  SemanticGrouping(8, 4)->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::SemanticGrouping(num_prototypes=8, dim=4, temperature=0.07)");
}

TEST(SemanticGroupingModule, IsTheFunctionalOfItsTable) {
  const auto options = SemanticGroupingOptions(8, 4).temperature(0.5).eps(0.1);
  SemanticGrouping module(options);
  const auto features = floats({2, 4, 3, 3}, 1);
  EXPECT_TRUE(
      same(module->forward(features), semantic_grouping(features, module->prototypes(), options)));
}

TEST(SemanticGroupingModule, TableHasThePublishedNameAndIsStandardNormal) {
  torch::manual_seed(0);
  const SemanticGrouping module(256, 256);
  const auto parameters = module->named_parameters();
  ASSERT_EQ(parameters.size(), 1u);
  EXPECT_EQ(parameters[0].key(), "slot_embed.weight");
  const auto& table = parameters[0].value();
  EXPECT_EQ(table.sizes(), (std::vector<std::int64_t>{256, 256}));
  EXPECT_TRUE(table.requires_grad());
  EXPECT_LT(std::abs(table.mean().item<double>()), 5.0 / 256);  // five deviations of the mean
  EXPECT_LT(std::abs(table.std().item<double>() - 1), 5.0 / 256);
  EXPECT_TRUE(module->named_buffers().is_empty());
}

TEST(SemanticGroupingModule, CloneIsDeep) {
  SemanticGrouping module(SemanticGroupingOptions(8, 4).temperature(0.5));
  const auto clone = std::dynamic_pointer_cast<slotcon::SemanticGroupingImpl>(module->clone());
  EXPECT_TRUE(at::equal(clone->prototypes(), module->prototypes()));
  EXPECT_EQ(clone->options.temperature(), 0.5);
  const auto before = clone->prototypes().detach().clone();
  const torch::NoGradGuard no_grad;
  module->prototypes().add_(1);
  EXPECT_TRUE(at::equal(clone->prototypes(), before));
  EXPECT_EQ(clone->prototypes().data_ptr(),
            clone->named_parameters()["slot_embed.weight"].data_ptr());
}

TEST(SemanticGroupingModule, SavesAndLoads) {
  const SemanticGrouping saved(8, 4);
  SemanticGrouping loaded(8, 4);
  ASSERT_FALSE(at::equal(saved->slot_embed->weight, loaded->prototypes()));
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  EXPECT_TRUE(at::equal(saved->slot_embed->weight, loaded->prototypes()));
}

TEST(SemanticGroupingModule, ConvertsToFloat64) {
  SemanticGrouping module(8, 4);
  module->to(torch::kDouble);
  const auto features = noise({2, 4, 9}, 1);
  const auto grouping = module->forward(features);
  EXPECT_EQ(grouping.slots.scalar_type(), torch::kDouble);
  EXPECT_TRUE(matches_loops(grouping, features, module->prototypes()));
}

TEST(SemanticGroupingModule, SaysWhichNumbersDoNotFit) {
  EXPECT_EQ(error_text<c10::ValueError>([] { SemanticGrouping(0, 4); }),
            "SemanticGrouping: expected num_prototypes >= 1 and dim >= 1, got 0 and 4");
  EXPECT_EQ(error_text<c10::ValueError>([] { SemanticGrouping(4, 0); }),
            "SemanticGrouping: expected num_prototypes >= 1 and dim >= 1, got 4 and 0");
  EXPECT_EQ(error_text<c10::ValueError>(
                [] { SemanticGrouping(SemanticGroupingOptions(4, 4).temperature(-0.5)); }),
            "semantic_grouping: expected temperature > 0, got -0.5");
  EXPECT_EQ(
      error_text<c10::ValueError>([] {
        SemanticGrouping(4, 4)->forward(torch::zeros({1, 3, 2}));
      }),
      "semantic_grouping: expected features with as many channels as the prototypes, 4, got 3");
}
