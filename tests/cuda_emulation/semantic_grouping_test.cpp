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
#include "tests/support/error_text.h"

namespace emulation = slotcon::emulation;
namespace grouping = slotcon::kernel::semantic_grouping;
using emulation::kSchedules;
using slotcon::testing::Arithmetic;
using slotcon::testing::close;
using slotcon::testing::name_of;
using slotcon::testing::within;
using slotcon::testing::semantic_grouping::Case;
using slotcon::testing::semantic_grouping::Forced;
using slotcon::testing::semantic_grouping::fused;
using slotcon::testing::semantic_grouping::Judge;
using slotcon::testing::semantic_grouping::kNames;
using slotcon::testing::semantic_grouping::kProductWays;
using slotcon::testing::semantic_grouping::kTileWays;
using slotcon::testing::semantic_grouping::kWays;
using slotcon::testing::semantic_grouping::largest;
using slotcon::testing::semantic_grouping::reference;
using slotcon::testing::semantic_grouping::Results;
using slotcon::testing::semantic_grouping::Sizes;
using slotcon::testing::semantic_grouping::Way;

namespace {

Results emulated(const Case& c, grouping::Wanted wanted = {true, true}) {
  return fused(c, at::kCPU, wanted);
}

testing::AssertionResult as_exact_as_the_reference(const Case& c) {
  return Judge(c).as_exact_as_the_reference(emulated(c));
}

/// Whether the plan of the case can run it: not float16 by tiles without eps.
bool can_run(const Case& c) {
  return c.way.plan == grouping::CudaPlan::kProducts || c.type != at::kHalf || c.eps > 0;
}

class SemanticGroupingCuda : public emulation::Test {};

}  // namespace

// ---- Values and gradients ----

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtEveryTail) {
  constexpr std::int64_t kPositions[] = {1, 7, 49, 196}, kDims[] = {1, 33, 64, 256};
  for (std::int64_t slots = 1; slots <= 300; slots += 1 + slots / 40) {
    const Sizes sizes{1 + slots % 2, slots, kDims[slots % 4], kPositions[slots / 4 % 4]};
    for (const auto& way : kProductWays) {
      const bool slow = way.arithmetic != Arithmetic::kFloat32;  // half types on the CPU
      if (slow && sizes.dims * sizes.positions > 64 * 49) continue;
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, way))) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, TilesAreAsExactAsTheReferenceAtEveryTail) {
  for (const auto& sizes : {Sizes{1, 1, 1, 1}, Sizes{2, 37, 40, 61}, Sizes{1, 64, 64, 64},
                            Sizes{1, 65, 33, 63}, Sizes{3, 130, 129, 65}, Sizes{2, 63, 256, 49},
                            Sizes{1, 129, 24, 3}, Sizes{1, 7, 250, 130}}) {
    for (const auto& way : kTileWays) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, way))) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, FewRowsShareOutTheSlots) {
  using grouping::detail::parts_of_slots;
  EXPECT_EQ(parts_of_slots(64, 100), 1);
  EXPECT_EQ(parts_of_slots(64, 2048), 8);
  EXPECT_EQ(parts_of_slots(64 * 49, 256), 2);
  EXPECT_EQ(parts_of_slots(64 * 49, 2048), 5);
  EXPECT_EQ(parts_of_slots(64 * 196, 2048), 1);
  EXPECT_EQ(parts_of_slots(0, 2048), 1);
  EXPECT_TRUE(as_exact_as_the_reference(Case({1, 1200, 8, 5}, kTileWays[0])));  // 10 tiles in 8
}

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtLargeSizes) {
  for (const auto& sizes : {Sizes{2, 256, 256, 49}, Sizes{1, 300, 33, 196}, Sizes{1, 2048, 64, 196},
                            Sizes{1, 1025, 33, 7}, Sizes{9, 17, 20, 10}}) {
    for (const auto& way : kWays) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, way))) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, IsAsExactAsTheReferenceAtOtherNumbers) {
  for (const auto& way : kWays) {
    for (const auto& [temperature, eps] :
         {std::pair(0.025, 1e-6), std::pair(1.5, 0.25), std::pair(0.07, 0.0)}) {
      Case c({2, 37, 40, 61}, way);
      c.temperature = temperature;
      c.eps = eps;
      if (!can_run(c)) continue;
      EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature << " " << eps << " " << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, SlotsThatWinNothingAreAsExactAsTheReference) {
  for (const auto& way : kWays) {
    Case c({1, 64, 128, 196}, way);
    const auto few = c.prototypes.slice(0, 0, 4).repeat({49, 1}).t();
    c.features = (few + 0.1 * c.features[0]).unsqueeze(0).to(c.type).to(at::kFloat);
    EXPECT_TRUE(as_exact_as_the_reference(c)) << way;
  }
}

TEST_F(SemanticGroupingCuda, ResultsHaveTheTypesOfTheContract) {
  for (const auto& way : kWays) {
    const Case c({2, 7, 12, 5}, way);
    const auto results = emulated(c);
    EXPECT_EQ(results[0].scalar_type(), c.type);
    EXPECT_TRUE(results[0].is_contiguous());
    EXPECT_EQ(results[1].scalar_type(), at::kFloat);
    EXPECT_TRUE(results[1].transpose(1, 2).is_contiguous());
    EXPECT_EQ(results[2].scalar_type(), c.type);
    EXPECT_EQ(results[3].scalar_type(), at::kFloat);
  }
}

TEST_F(SemanticGroupingCuda, OneOutputUsedGivesItsGradientAlone) {
  for (const auto& way : kWays) {
    for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, 1028, 20, 10}}) {
      Case slots(sizes, way), scores(sizes, way);
      slots.grad_scores.reset();
      scores.grad_slots.reset();
      EXPECT_TRUE(as_exact_as_the_reference(slots)) << sizes << " " << way;
      EXPECT_TRUE(as_exact_as_the_reference(scores)) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, OneGradientWantedIsTheSame) {
  for (const auto& way : {kProductWays[0], kTileWays[0], kTileWays[1]}) {
    const Case c({2, 37, 40, 61}, way);
    const auto both = emulated(c);
    const auto features = emulated(c, {true, false}), prototypes = emulated(c, {false, true});
    EXPECT_TRUE(at::equal(features[2], both[2])) << way;
    EXPECT_FALSE(features[3].defined());
    EXPECT_FALSE(prototypes[2].defined());
    EXPECT_TRUE(at::equal(prototypes[3], both[3])) << way;
  }
}

// ---- Edge cases ----

TEST_F(SemanticGroupingCuda, ZeroVectorsHaveTheGradientOfTheReference) {
  constexpr double kTf32Tolerance = 7e-3;  // 2^-11, which 1 / temperature multiplies
  for (const auto& [way, tolerance] :
       {std::pair(kProductWays[0], 1e-5), std::pair(kTileWays[0], kTf32Tolerance)}) {
    Case c({2, 5, 7, 9}, way);
    c.features.select(2, 3).zero_();
    c.prototypes[2].zero_();
    const auto exact = reference(c, at::kDouble), results = emulated(c);
    EXPECT_TRUE(at::equal(results[1].select(2, 3), at::zeros({2, 5})));
    // The floor 1e-12 makes these gradients huge; the others must not be measured by them.
    const auto expect_close = [bound = tolerance](const torch::Tensor& actual,
                                                  const torch::Tensor& expected) {
      EXPECT_TRUE(within(actual, expected, bound * largest(expected)));
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
}

TEST_F(SemanticGroupingCuda, ZeroVectorsOfHalfTypesHarmNothingElse) {
  for (const auto& way : {kProductWays[2], kTileWays[2]}) {
    Case c({2, 5, 7, 9}, way);
    c.features.select(2, 3).zero_();
    const auto results = emulated(c);
    const auto exact = reference(c, at::kDouble);
    EXPECT_TRUE(within(results[0], exact[0], 2e-3 * largest(exact[0]))) << way;
    EXPECT_TRUE(within(results[3], exact[3], 4e-3 * largest(exact[3]))) << way;
    EXPECT_TRUE(results[2].slice(2, 4).isfinite().all().item<bool>()) << way;
  }
}

TEST_F(SemanticGroupingCuda, NothingGivesZeros) {
  for (const auto& way : kWays) {
    for (const auto& sizes : {Sizes{0, 5, 3, 4}, Sizes{2, 5, 3, 0}}) {
      const Case c(sizes, way);
      const auto results = emulated(c);
      EXPECT_TRUE(at::equal(results[0], at::zeros_like(c.grad_slots, c.type))) << sizes;
      EXPECT_EQ(results[1].sizes(), c.grad_scores.sizes());
      EXPECT_EQ(results[2].sizes(), c.features.sizes());
      EXPECT_TRUE(at::equal(results[3], at::zeros_like(c.prototypes))) << sizes;
      EXPECT_FALSE(results[4].any().item<bool>()) << sizes;
    }
  }
}

TEST_F(SemanticGroupingCuda, TheFirstOfEqualScoresWinsAndNotANumberAboveAll) {
  for (const auto& [way, slots] :
       {std::pair(kProductWays[0], 36), std::pair(kProductWays[0], 1030),
        std::pair(kTileWays[0], 36), std::pair(kTileWays[0], 1030), std::pair(kTileWays[1], 390)}) {
    Case c({3, slots, 7, 9}, way);
    c.prototypes.slice(0, slots / 2) = c.prototypes.slice(0, 0, slots - slots / 2);  // each twice
    c.features[1].select(1, 3).zero_();  // all scores equal
    c.prototypes[slots / 2 - 3][4] = std::nan("");
    const auto results = emulated(c);
    EXPECT_TRUE(at::equal(results[4], grouping::present(results[1]))) << way;
    EXPECT_TRUE(results[4].sum(1).eq(1).all().item<bool>()) << way;
    c.prototypes[slots / 2 - 3][4] = 0;
    const auto numbers = emulated(c);
    EXPECT_TRUE(at::equal(numbers[4], grouping::present(numbers[1]))) << way;
    EXPECT_FALSE(numbers[4].slice(1, slots / 2).any().item<bool>()) << way;
    EXPECT_TRUE(numbers[4][1][0].item<bool>()) << way;
  }
}

TEST_F(SemanticGroupingCuda, NotANumberStaysInItsImage) {
  for (const auto& way : kWays) {
    Case c({2, 5, 7, 9}, way);
    const auto expected = emulated(c);
    c.features[0][1][2] = std::nan("");
    const auto results = emulated(c);
    EXPECT_TRUE(results[0][0].isnan().all().item<bool>()) << way;
    EXPECT_TRUE(results[1][0].select(1, 2).isnan().all().item<bool>()) << way;
    EXPECT_TRUE(at::equal(results[0][1], expected[0][1])) << way;
    EXPECT_TRUE(at::equal(results[2][1], expected[2][1])) << way;
  }
}

// ---- Layouts ----

TEST_F(SemanticGroupingCuda, EveryLayoutGivesTheSame) {
  for (const auto& way : {kProductWays[0], kTileWays[0], kTileWays[1]}) {
    const Case c({3, 37, 40, 61}, way);
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
        EXPECT_TRUE(close(results[i], expected[i])) << way << ": " << kNames[i];
      }
      EXPECT_EQ(results[2].transpose(1, 2).is_contiguous(), features.stride(1) == 1) << way;
    }
  }
}

TEST_F(SemanticGroupingCuda, RowsThatCannotBeCopiedByPiecesAreCopiedBefore) {
  const auto shifted = [](const torch::Tensor& values) {
    const auto room = at::zeros({values.numel() + 1}, values.options());
    return room.slice(0, 1).view(values.sizes()).copy_(values);
  };
  const Case c({2, 40, 40, 61}, kTileWays[0]);
  const auto expected = emulated(c);
  Case other = c;
  other.features = shifted(c.features.transpose(1, 2)).transpose(1, 2);
  other.grad_slots = shifted(c.grad_slots);
  other.grad_scores = shifted(c.grad_scores.transpose(1, 2)).transpose(1, 2);
  const auto results = emulated(other);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_TRUE(at::equal(results[i], expected[i])) << kNames[i];
  }
}

// ---- Plans ----

TEST(SemanticGroupingCudaPlan, TilesAreChosenWhereTheyCanRunAndShareOutTheWork) {
  using grouping::CudaPlan;
  using grouping::CudaProblem;
  const auto both = [](CudaPlan plan) { return std::pair(plan, plan); };
  const auto plans = [](const auto& change) {
    CudaProblem problem{Arithmetic::kBFloat16, true, 64, 2048, 256, 196, 1e-6};
    change(problem);
    const auto chosen = grouping::choose_plans(problem);
    return std::pair(chosen.forward, chosen.backward);
  };
  const auto tiles = both(CudaPlan::kTiles), products = both(CudaPlan::kProducts);
  EXPECT_EQ(plans([](auto&) {}), tiles);
  EXPECT_EQ(plans([](auto& p) { p.arithmetic = Arithmetic::kFloat16; }), tiles);
  EXPECT_EQ(plans([](auto& p) { p.arithmetic = Arithmetic::kTf32; }), tiles);
  EXPECT_EQ(plans([](auto& p) { p.dims = 1; }), tiles);
  EXPECT_EQ(plans([](auto& p) { p.eps = 0; }), tiles);

  EXPECT_EQ(plans([](auto& p) { p.arithmetic = Arithmetic::kFloat32; }), products);
  EXPECT_EQ(plans([](auto& p) { p.tensor_cores = false; }), products);
  EXPECT_EQ(plans([](auto& p) { p.dims = 257; }), products);
  const auto float16_without_eps = [](auto& p) {
    p.arithmetic = Arithmetic::kFloat16;
    p.eps = 1e-9;
  };
  EXPECT_EQ(plans(float16_without_eps), products);

  // One block for 64 slots forward, and for 64 positions backward.
  EXPECT_EQ(plans([](auto& p) { p.positions = 49; }),
            std::pair(CudaPlan::kTiles, CudaPlan::kProducts));
  const auto coco = [](auto& p) {
    p.slots = 256;
    p.positions = 49;
  };
  EXPECT_EQ(plans(coco), tiles);
  const auto large_maps = [](auto& p) {
    p.images = 3;
    p.slots = 256;
    p.positions = 3136;
  };
  EXPECT_EQ(plans(large_maps), std::pair(CudaPlan::kProducts, CudaPlan::kTiles));
}

TEST_F(SemanticGroupingCuda, TellsWhichPlansItFollows) {
  using grouping::CudaPlan;
  const Case c({2, 5, 7, 9});
  const auto plans = [&](at::ScalarType type, double eps = 1e-6) {
    const auto chosen = grouping::cuda_plans(c.features.to(type), c.prototypes, eps);
    return std::pair(chosen.forward, chosen.backward);
  };
  const auto tiles = std::pair(CudaPlan::kTiles, CudaPlan::kTiles);
  const auto products = std::pair(CudaPlan::kProducts, CudaPlan::kProducts);
  EXPECT_EQ(plans(at::kBFloat16), tiles);
  EXPECT_EQ(plans(at::kFloat), products);
  {
    const slotcon::testing::Tf32Allowed allowed(true);
    EXPECT_EQ(plans(at::kFloat), tiles);
  }
  {
    const Forced forced(CudaPlan::kProducts);
    EXPECT_EQ(plans(at::kBFloat16), products);
  }
  const Forced forced(CudaPlan::kTiles);
  const char* const error = "semantic_grouping: CudaPlan::kTiles was forced where it cannot run";
  EXPECT_EQ(error_text<c10::Error>([&] { plans(at::kFloat); }), error);
  EXPECT_EQ(error_text<c10::Error>([&] { plans(at::kHalf, 0); }), error);
}

// ---- What the emulation is for ----

TEST_F(SemanticGroupingCuda, EveryScheduleGivesTheSameBits) {
  for (const auto& way : kWays) {
    const bool tiles = way.plan == grouping::CudaPlan::kTiles;
    for (const auto& sizes : {Sizes{2, 37, 40, 61}, Sizes{1, tiles ? 140 : 1028, 133, 10}}) {
      const Case c(sizes, way);
      const auto expected = emulated(c);
      for (const auto schedule : kSchedules) {
        const emulation::With order(schedule);
        const auto results = emulated(c);
        for (std::size_t i = 0; i < results.size(); ++i) {
          EXPECT_TRUE(at::equal(results[i], expected[i]))
              << way << ": " << kNames[i] << " " << schedule;
        }
      }
    }
  }
}

namespace {

std::function<bool()> all_right(const std::vector<Case>& cases) {
  return [cases, judges = std::vector<Judge>(cases.begin(), cases.end())] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!judges[i].as_exact_as_the_reference(emulated(cases[i]))) return false;
    }
    return true;
  };
}

/// A few cases which between them come by every line of the kernels.
std::vector<Case> cases_of_products() {
  std::vector<Case> cases;
  for (const auto& sizes : {Sizes{2, 36, 39, 61}, Sizes{1, 1026, 20, 33}}) {
    cases.emplace_back(sizes);
    cases.emplace_back(sizes);
    auto& features = cases.back().features;
    features = features.transpose(1, 2).contiguous().transpose(1, 2);
  }
  return cases;
}

/// A case with a second tile of everything, of which a part is there, that of dims and slots to its
/// last piece. The last slot wins the last position; what eps adds and the slots' gradient count.
std::vector<Case> cases_of_tiles(const Way& way) {
  Case c({1, 72, way.arithmetic == Arithmetic::kTf32 ? 72 : 136, 67}, way);
  c.features[0].select(1, 66) = c.prototypes[71];
  c.grad_slots.abs_();
  c.grad_scores.mul_(0.0625);
  c.temperature = 0.5;
  c.eps = 0.1;
  return {c};
}

/// The files of what the plans do not share, and the ways that have lines of their own: bfloat16 is
/// judged less strictly than float16, whose lines it has.
constexpr const char* kOfTiles = "tile";
constexpr Way kWaysToBreak[] = {kTileWays[0], kTileWays[2]};

}  // namespace

TEST_F(SemanticGroupingCuda, EveryPlantedBugIsFound) {
  emulation::expect_every_planted_bug_is_found(all_right(cases_of_products()));
}

#if defined(SLOTCON_EMULATION_ASAN)
TEST_F(SemanticGroupingCuda, EveryOverrunIsFound) {
  emulation::expect_every_overrun_is_found(all_right(cases_of_products()));
  for (const auto& way : kWaysToBreak) {
    SCOPED_TRACE(name_of(way.arithmetic));
    emulation::expect_every_overrun_is_found(all_right(cases_of_tiles(way)), kOfTiles);
  }
}
#else  // a planted bug may read anywhere, where AddressSanitizer would end the test
TEST_F(SemanticGroupingCuda, EveryPlantedBugInTilesIsFound) {
  for (const auto& way : kWaysToBreak) {
    SCOPED_TRACE(name_of(way.arithmetic));
    emulation::expect_every_planted_bug_is_found(all_right(cases_of_tiles(way)), kOfTiles);
  }
}
#endif
