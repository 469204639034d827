// The CUDA kernels of slot InfoNCE, emulated, against the reference in float64.
#include <gtest/gtest.h>
#include <python/ops/slot_info_nce.h>
#include <slotcon/kernel/slot_info_nce/fused.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <tuple>
#include <vector>

#include "tests/cuda/slot_info_nce_cases.h"
#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/old_gpu.h"
#include "tests/cuda_emulation/schedules.h"
#include "tests/support/error_text.h"

namespace emulation = slotcon::emulation;
namespace contrast = slotcon::kernel::slot_info_nce;
using emulation::kSchedules;
using slotcon::testing::Arithmetic;
using slotcon::testing::close;
using slotcon::testing::name_of;
using slotcon::testing::tolerance;
using slotcon::testing::type_of;
using slotcon::testing::within;
using slotcon::testing::slot_info_nce::Case;
using slotcon::testing::slot_info_nce::equal;
using slotcon::testing::slot_info_nce::fused;
using slotcon::testing::slot_info_nce::Judge;
using slotcon::testing::slot_info_nce::kArithmetics;
using slotcon::testing::slot_info_nce::reference;
using slotcon::testing::slot_info_nce::Results;
using slotcon::testing::slot_info_nce::Sizes;

namespace {

Results emulated(const Case& c) { return fused(c, at::kCPU); }

testing::AssertionResult as_exact_as_the_reference(const Case& c) {
  return Judge(c).as_exact_as_the_reference(emulated(c));
}

class SlotInfoNCECuda : public emulation::Test {};

}  // namespace

// ---- Values and gradients ----

TEST_F(SlotInfoNCECuda, IsAsExactAsTheReferenceAtEveryTail) {
  for (const auto& sizes : {Sizes{1, 1, 1}, Sizes{1, 2, 1}, Sizes{2, 1, 3}, Sizes{7, 15, 17},
                            Sizes{63, 65, 33}, Sizes{64, 64, 64}, Sizes{65, 63, 31},
                            Sizes{130, 3, 32}, Sizes{3, 130, 63}, Sizes{70, 129, 129}}) {
    for (const auto arithmetic : kArithmetics) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, arithmetic)))
          << sizes << " " << name_of(arithmetic);
    }
  }
}

TEST_F(SlotInfoNCECuda, IsAsExactAsTheReferenceAtLargeSizes) {
  for (const auto& sizes :
       {Sizes{80, 150, 256}, Sizes{20, 70, 257}, Sizes{70, 20, 600}, Sizes{5, 9, 1024}}) {
    for (const auto arithmetic : kArithmetics) {
      EXPECT_TRUE(as_exact_as_the_reference(Case(sizes, arithmetic)))
          << sizes << " " << name_of(arithmetic);
    }
  }
}

TEST_F(SlotInfoNCECuda, ManyRowsAreSharedBetweenBlocks) {
  // More tiles of queries than pieces, so that each has one part; and many parts for one tile.
  constexpr std::int64_t kMany = contrast::kTile * contrast::kPieces + 1;
  EXPECT_TRUE(as_exact_as_the_reference(Case({kMany, 3, 5}, Arithmetic::kFloat32)));
  EXPECT_TRUE(as_exact_as_the_reference(Case({3, kMany, 5}, Arithmetic::kBFloat16)));
}

TEST_F(SlotInfoNCECuda, IsAsExactAsTheReferenceAtAnyTemperature) {
  for (const auto arithmetic : kArithmetics) {
    for (const double temperature : {0.025, 0.1, 10.0}) {
      if (arithmetic == Arithmetic::kFloat16 && temperature < 0.1) continue;
      Case c({70, 90, 40}, arithmetic);
      c.temperature = temperature;
      EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature << " " << name_of(arithmetic);
      c.queries = c.queries.flip(0);  // no longer near their positives
      EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature << " " << name_of(arithmetic);
    }
  }
}

TEST_F(SlotInfoNCECuda, OneKeyGivesNoLoss) {
  for (const auto arithmetic : {Arithmetic::kFloat32, Arithmetic::kTf32}) {
    EXPECT_EQ(emulated(Case({5, 1, 20}, arithmetic)).loss.item<float>(), 0) << name_of(arithmetic);
  }
}

TEST_F(SlotInfoNCECuda, TheGradientIsComputedOnlyWhenAskedFor) {
  for (const auto arithmetic : kArithmetics) {
    const Case c({7, 70, 300}, arithmetic);
    const auto type = type_of(arithmetic);
    const slotcon::testing::Tf32Allowed allowed(arithmetic == Arithmetic::kTf32);
    const auto result = contrast::cuda_forward({c.queries.to(type), {}}, {c.keys.to(type), {}},
                                               c.positive, c.temperature, false);
    EXPECT_TRUE(at::equal(result.loss, emulated(c).loss)) << name_of(arithmetic);
    EXPECT_FALSE(result.by_queries.defined());
  }
}

// ---- Slots that masks pick ----

namespace {

/// Slots of two views [M,D] and which of them are there.
struct Slots {
  torch::Tensor anchors, keys, anchor_present, key_present;
};

Slots make_slots(std::int64_t count, std::int64_t dims, double share) {
  const auto picks = [&](std::uint64_t seed) {
    return slotcon::testing::noise({count}, seed) < share;
  };
  const auto keys = slotcon::testing::noise({count, dims}, 1).to(at::kFloat);
  const auto anchors = (keys + slotcon::testing::noise({count, dims}, 2)).to(at::kFloat);
  return {anchors, keys, picks(3), picks(4)};
}

Results by_masks(const Slots& s) {
  const auto anchors = s.anchors.detach().requires_grad_(), keys = s.keys.detach().requires_grad_();
  const auto loss = contrast::cuda_fused_pairs(anchors, keys, s.anchor_present & s.key_present,
                                               s.key_present, 0.2, "slot_info_nce");
  const auto gradients = torch::autograd::grad({loss}, {anchors, keys});
  return {loss.detach(), gradients[0], gradients[1]};
}

/// The same of rows that have been picked.
Results by_rows(const Slots& s) {
  const auto anchors = s.anchors.to(at::kDouble).requires_grad_();
  const auto keys = s.keys.to(at::kDouble).requires_grad_();
  const auto places = (s.anchor_present & s.key_present).nonzero().flatten();
  const auto key_places = s.key_present.nonzero().flatten();
  const auto positive = (s.key_present.cumsum(0) - 1).index_select(0, places);
  const auto loss = contrast::reference(anchors.index_select(0, places),
                                        keys.index_select(0, key_places), positive, 0.2);
  const auto gradients = torch::autograd::grad({loss}, {anchors, keys});
  return {loss.detach(), gradients[0], gradients[1]};
}

}  // namespace

TEST_F(SlotInfoNCECuda, MasksPickWhatRowsPickedByHandAre) {
  for (const auto& [count, dims] : {std::pair(7, 5), std::pair(200, 33), std::pair(130, 64)}) {
    const auto slots = make_slots(count, dims, 0.3);
    ASSERT_GT((slots.anchor_present & slots.key_present).sum().item<std::int64_t>(), 0);
    const auto results = by_masks(slots), expected = by_rows(slots);
    EXPECT_TRUE(close(results.loss, expected.loss)) << count;
    EXPECT_TRUE(close(results.by_queries, expected.by_queries)) << count;
    EXPECT_TRUE(close(results.by_keys, expected.by_keys)) << count;
    const auto absent = (~slots.key_present).nonzero().flatten();
    EXPECT_TRUE(results.by_keys.index_select(0, absent).eq(0).all().item<bool>()) << count;
  }
}

TEST_F(SlotInfoNCECuda, MasksThatPickNoPairGiveZeroAndZeros) {
  auto slots = make_slots(70, 20, 0.3);
  for (const bool keys_there : {true, false}) {
    slots.anchor_present = ~slots.key_present;
    if (!keys_there) slots.key_present = at::zeros_like(slots.key_present);
    const auto results = by_masks(slots);
    EXPECT_EQ(results.loss.item<float>(), 0);
    EXPECT_TRUE(results.by_queries.eq(0).all().item<bool>());
    EXPECT_TRUE(results.by_keys.eq(0).all().item<bool>());
  }
}

TEST_F(SlotInfoNCECuda, OperatorsForPythonGiveTheSame) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto slots = make_slots(70, 20, 0.5);
    slots.anchors = slots.anchors.to(type);
    slots.keys = slots.keys.to(type);
    const auto expected = by_masks(slots);
    const auto [loss, gradients] = slotcon::ops::detail::contrast_masks(
        slots.anchors.view({7, 10, 20}), slots.keys.view({7, 10, 20}),
        slots.anchor_present.view({7, 10}), slots.key_present.view({7, 10}), 0.2, {true, true});
    EXPECT_TRUE(at::equal(loss, expected.loss));
    EXPECT_TRUE(at::equal(gradients[0].to(type), expected.by_queries));
    EXPECT_TRUE(at::equal(gradients[1].to(type), expected.by_keys));
    EXPECT_EQ(gradients[0].scalar_type(), at::kFloat);  // to be scaled before it is rounded
  }
}

TEST_F(SlotInfoNCECuda, HalfTypesAreMultipliedAsTheyAre) {
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    auto slots = make_slots(200, 33, 0.3);
    slots.anchors = slots.anchors.to(type);
    slots.keys = slots.keys.to(type);
    const auto results = by_masks(slots), expected = by_rows(slots);
    EXPECT_EQ(results.loss.scalar_type(), at::kFloat);
    EXPECT_EQ(results.by_queries.scalar_type(), type);
    EXPECT_EQ(results.by_keys.scalar_type(), type);
    const auto near = [&](const torch::Tensor& result, const torch::Tensor& exact) {
      constexpr double kRoundings = 4;  // of vectors, weights and the result
      return within(result, exact, kRoundings * tolerance(type) * exact.abs().max().item<double>());
    };
    EXPECT_TRUE(near(results.loss, expected.loss)) << type;
    EXPECT_TRUE(near(results.by_queries, expected.by_queries)) << type;
    EXPECT_TRUE(near(results.by_keys, expected.by_keys)) << type;
  }
}

TEST_F(SlotInfoNCECuda, WithoutTensorCoresProductsAreOfFloat32) {
  const slotcon::testing::Tf32Allowed allowed(true);
  const emulation::WithoutTensorCores old_gpu;
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    auto slots = make_slots(200, 33, 0.3);
    slots.anchors = slots.anchors.to(type);
    slots.keys = slots.keys.to(type);
    const auto results = by_masks(slots), expected = by_rows(slots);
    EXPECT_TRUE(close(results.loss, expected.loss)) << type;  // which is float32
    EXPECT_TRUE(close(results.by_queries, expected.by_queries)) << type;
    EXPECT_TRUE(close(results.by_keys, expected.by_keys)) << type;
  }
  EXPECT_THROW(emulated(Case({7, 15, 17}, Arithmetic::kBFloat16)), emulation::Error);
}

TEST_F(SlotInfoNCECuda, TruePlacesAreThoseOfNonzero) {
  for (const std::int64_t size : {1, 2, 65}) {
    for (const double share : {-10.0, 0.0, 10.0}) {
      const auto mask = slotcon::testing::noise({size}, 5) < share;
      const auto found = contrast::true_places(mask);
      const auto count = mask.sum().item<std::int64_t>();
      EXPECT_EQ(found.count.item<std::int64_t>(), count);
      EXPECT_TRUE(at::equal(found.places.slice(0, 0, count), mask.nonzero().flatten()));
      EXPECT_TRUE(found.places.ge(0).logical_and(found.places.lt(size)).all().item<bool>());
    }
  }
}

// ---- Edge cases ----

TEST_F(SlotInfoNCECuda, RowsBeyondTheCountsAreNotRead) {
  for (const auto arithmetic : kArithmetics) {
    for (const auto& sizes : {Sizes{65, 90, 40}, Sizes{64, 128, 64}, Sizes{1, 1, 3}}) {
      for (const std::int64_t spare : {1, 150}) {
        Case c(sizes, arithmetic);
        const auto expected = emulated(c);
        c.spare = spare;
        const auto results = emulated(c);
        EXPECT_TRUE(Judge(c).as_exact_as_the_reference(results))
            << sizes << " " << name_of(arithmetic);
        EXPECT_TRUE(at::equal(results.loss, expected.loss)) << sizes << " " << name_of(arithmetic);
      }
    }
  }
}

TEST_F(SlotInfoNCECuda, NoQueryGivesZeros) {
  for (const auto arithmetic : kArithmetics) {
    for (const std::int64_t keys : {0, 70}) {
      for (const std::int64_t spare : {0, 3}) {
        Case c({1, 70, 20}, arithmetic);
        c.queries = c.queries.slice(0, 0, 0);
        c.positive = c.positive.slice(0, 0, 0);
        c.keys = c.keys.slice(0, 0, keys);
        c.spare = spare;
        const auto results = emulated(c);
        EXPECT_EQ(results.loss.item<float>(), 0) << name_of(arithmetic);
        EXPECT_TRUE(at::equal(results.by_queries, at::zeros({spare, 20}))) << name_of(arithmetic);
        EXPECT_TRUE(at::equal(results.by_keys, at::zeros({keys + spare, 20})))
            << name_of(arithmetic);
      }
    }
  }
}

TEST_F(SlotInfoNCECuda, ZeroRowsHaveTheGradientOfTheReference) {
  Case c({3, 5, 8});
  c.queries[1].zero_();
  c.keys[4].zero_();
  const auto expected = reference(c, at::kDouble), results = emulated(c);
  EXPECT_TRUE(close(results.loss, expected.loss));
  // The floor 1e-12 makes these gradients huge; the others must not be measured by them.
  const auto expect_close = [](const torch::Tensor& rows, const torch::Tensor& exact) {
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      const double scale = exact[i].abs().max().item<double>();
      EXPECT_TRUE(within(rows[i], exact[i], 1e-5 * (1 + scale))) << i;
    }
  };
  expect_close(results.by_queries, expected.by_queries);
  expect_close(results.by_keys, expected.by_keys);
  EXPECT_GT(results.by_queries[1].abs().max().item<float>(), 1e9);
}

TEST_F(SlotInfoNCECuda, APlaceThatIsNoKeyMakesTheLossInfinite) {
  for (const std::int64_t place : {-1, 90}) {
    Case c({70, 90, 20});
    c.positive[3] = place;
    EXPECT_TRUE(std::isinf(emulated(c).loss.item<float>())) << place;
  }
}

// ---- Layouts ----

TEST_F(SlotInfoNCECuda, EveryLayoutGivesTheSameBits) {
  const Case c({70, 90, 20});
  Case other = c;
  other.queries = c.queries.t().contiguous().t();
  other.keys = at::cat({c.keys, c.keys}, 1).slice(1, 0, 20);
  other.positive = at::stack({c.positive, c.positive}, 1).select(1, 0);
  EXPECT_TRUE(equal(emulated(other), emulated(c)));
}

// ---- What the emulation is for ----

TEST_F(SlotInfoNCECuda, EveryScheduleGivesTheSameBits) {
  for (const auto arithmetic : kArithmetics) {
    Case c({5, 130, 270}, arithmetic);
    c.spare = 5;
    const auto expected = emulated(c);
    for (const auto schedule : kSchedules) {
      const emulation::With order(schedule);
      EXPECT_TRUE(equal(emulated(c), expected)) << name_of(arithmetic) << " " << schedule;
    }
  }
}

namespace {

/// Whether a few cases are right, in which the last of everything counts; small ones first, where
/// most bugs show.
std::function<bool()> all_right(Arithmetic arithmetic) {
  std::vector<Case> cases;
  for (const auto& sizes : {Sizes{4, 2, 64}, Sizes{64, 64, 32}, Sizes{65, 129, 65}}) {
    cases.emplace_back(sizes, arithmetic);
    cases.back().positive[sizes.queries - 1] = sizes.keys - 1;
  }
  cases[0].spare = 1;
  return [cases, judges = std::vector<Judge>(cases.begin(), cases.end())] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!judges[i].as_exact_as_the_reference(emulated(cases[i]))) return false;
    }
    return true;
  };
}

}  // namespace

// ---- As a differentiable function ----

TEST_F(SlotInfoNCECuda, ANodeOfTheGraphGivesBothGradientsAndNoSecondOne) {
  const Case c({20, 30, 24});
  const auto run = [&](const auto& loss_of) {
    const auto queries = c.queries.clone().requires_grad_(), keys = c.keys.clone().requires_grad_();
    const auto gradients = torch::autograd::grad({3 * loss_of(queries, keys)}, {queries, keys}, {},
                                                 /*retain_graph=*/true, /*create_graph=*/true);
    return std::tuple(queries, gradients[0], gradients[1]);
  };
  const auto [q, by_queries, by_keys] = run([&](const auto& queries, const auto& keys) {
    return contrast::detail::CudaSlotInfoNCE::apply(
        queries, keys, c.positive, contrast::Picked(),
        contrast::detail::Settings{0.2, true, true, "info_nce"});
  });
  const auto [_, expected_queries, expected_keys] = run([&](const auto& queries, const auto& keys) {
    return contrast::reference(queries, keys, c.positive, 0.2);
  });
  EXPECT_TRUE(close(by_queries, expected_queries));
  EXPECT_TRUE(close(by_keys, expected_keys));
  const auto second = [&, by = by_queries, to = q] { torch::autograd::grad({by.sum()}, {to}); };
  EXPECT_EQ(error_text<c10::NotImplementedError>(second),
            "info_nce: double backward needs Backend::kReference");
}

#if defined(SLOTCON_EMULATION_ASAN)
TEST_F(SlotInfoNCECuda, EveryOverrunIsFound) {
  for (const auto arithmetic : {Arithmetic::kFloat32, Arithmetic::kTf32, Arithmetic::kFloat16}) {
    SCOPED_TRACE(name_of(arithmetic));
    emulation::expect_every_overrun_is_found(all_right(arithmetic));
  }
}
#else  // a planted bug may read anywhere, where AddressSanitizer would end the test
TEST_F(SlotInfoNCECuda, EveryPlantedBugIsFound) {
  for (const auto arithmetic : kArithmetics) {
    SCOPED_TRACE(name_of(arithmetic));
    emulation::expect_every_planted_bug_is_found(all_right(arithmetic));
  }
}
#endif
