#include <gtest/gtest.h>
#include <slotcon/loss/slot_info_nce.h>
#include <slotcon/model/projection_head.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>
#include <torch/serialize.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/noise.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

using slotcon::Backend;
using slotcon::CollectivesPtr;
using slotcon::MeanOver;
using slotcon::ProjectionHead;
using slotcon::ProjectionHeadOptions;
using slotcon::SlotInfoNCE;
using slotcon::SlotInfoNCEOptions;
using slotcon::functional::info_nce;
using slotcon::functional::pair_slots;
using slotcon::functional::present_slots;
using slotcon::functional::slot_info_nce;
using slotcon::testing::Autocast;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::noise;
using slotcon::testing::run_group;
using slotcon::testing::Tensors;
using torch::nn::AnyModule;

namespace {

/// A mask [B,K] in which about half of the slots are present.
torch::Tensor mask(at::IntArrayRef sizes, std::uint64_t seed) { return noise(sizes, seed) > 0; }

torch::Tensor masks(std::vector<std::uint8_t> row) {
  return torch::tensor(row).to(torch::kBool).unsqueeze(0);
}

double cosine(const torch::Tensor& a, const torch::Tensor& b) {
  const auto x = a.accessor<double, 1>(), y = b.accessor<double, 1>();
  double dot = 0, x_square = 0, y_square = 0;
  for (std::int64_t d = 0; d < x.size(0); ++d) {
    dot += x[d] * y[d];
    x_square += x[d] * x[d];
    y_square += y[d] * y[d];
  }
  return dot / std::sqrt(x_square) / std::sqrt(y_square);
}

/// The slot contrast as the method says it, one pair at a time in float64: anchors are present in
/// both masks, keys in the second; the positive of an anchor is the key of the same image and slot.
torch::Tensor contrast_by_loops(const torch::Tensor& anchors, const torch::Tensor& keys,
                                const torch::Tensor& anchor_present,
                                const torch::Tensor& key_present, double temperature = 0.2) {
  const auto queries64 = anchors.detach().to(torch::kDouble).flatten(0, 1);
  const auto keys64 = keys.detach().to(torch::kDouble).flatten(0, 1);
  const auto in_anchors = anchor_present.flatten(), in_keys = key_present.flatten();
  double sum = 0;
  int count = 0;
  for (std::int64_t i = 0; i < queries64.size(0); ++i) {
    if (!in_anchors[i].item<bool>() || !in_keys[i].item<bool>()) continue;
    double exp_sum = 0;
    for (std::int64_t j = 0; j < keys64.size(0); ++j) {
      if (in_keys[j].item<bool>())
        exp_sum += std::exp(cosine(queries64[i], keys64[j]) / temperature);
    }
    sum += std::log(exp_sum) - cosine(queries64[i], keys64[i]) / temperature;
    ++count;
  }
  return torch::tensor(2 * temperature * sum / count, torch::kDouble);
}

ProjectionHead predictor(std::int64_t dim) {
  torch::manual_seed(1);
  return ProjectionHead(ProjectionHeadOptions(dim, 6, dim));
}

}  // namespace

// ---- Which slots are present ----

TEST(PresentSlots, WinAtLeastOnePosition) {
  const auto scores = torch::tensor({{{0.9, 0.1, 0.3}, {0.5, 0.2, 0.1}, {0.1, 0.8, 0.2}},
                                     {{0.0, 0.0, 0.0}, {0.1, 0.1, -1.0}, {-1.0, -1.0, -1.0}}});
  EXPECT_TRUE(
      at::equal(present_slots(scores), torch::tensor({{true, false, true}, {true, true, false}})));
  EXPECT_TRUE(at::equal(present_slots(scores.unsqueeze(2)), present_slots(scores)));
  EXPECT_TRUE(at::equal(present_slots(scores.view({2, 3, 3, 1, 1})), present_slots(scores)));
}

TEST(PresentSlots, TiesGoToTheLowestPrototype) {
  // Wide enough for every vectorised path, and through layouts that are read in other orders.
  for (const std::int64_t positions : {1, 3, 64, 257}) {
    for (const auto type : {torch::kFloat, torch::kDouble, torch::kHalf, torch::kBFloat16}) {
      auto scores = torch::zeros({2, 70, positions}, type);
      scores.slice(1, 5).fill_(0.5);
      auto expected = torch::zeros({2, 70}, torch::kBool);
      expected.select(1, 5).fill_(true);
      EXPECT_TRUE(at::equal(present_slots(scores), expected)) << positions << " " << type;
      const auto turned = scores.transpose(1, 2).contiguous().transpose(1, 2);
      EXPECT_TRUE(at::equal(present_slots(turned), expected)) << positions << " " << type;
    }
  }
}

TEST(PresentSlots, MatchesLoopsForAnyLayout) {
  const auto wide = floats({2, 12, 5, 8}, 1);
  for (const auto& scores : {wide, wide.contiguous(torch::MemoryFormat::ChannelsLast),
                             wide.slice(1, 0, 12, 3), wide.slice(0, 0, 1).expand({3, 12, 5, 8})}) {
    const auto present = present_slots(scores);
    const auto flat = scores.flatten(2).contiguous();
    auto expected = torch::zeros({flat.size(0), flat.size(1)}, torch::kBool);
    for (std::int64_t b = 0; b < flat.size(0); ++b) {
      for (std::int64_t n = 0; n < flat.size(2); ++n) {
        std::int64_t winner = 0;
        for (std::int64_t k = 1; k < flat.size(1); ++k) {
          if (flat[b][k][n].item<float>() > flat[b][winner][n].item<float>()) winner = k;
        }
        expected[b][winner] = true;
      }
    }
    EXPECT_TRUE(at::equal(present, expected)) << scores.strides();
  }
}

TEST(PresentSlots, NothingIsPresentWithoutPositions) {
  EXPECT_TRUE(
      at::equal(present_slots(torch::zeros({2, 3, 0, 4})), torch::zeros({2, 3}, torch::kBool)));
  EXPECT_EQ(present_slots(torch::zeros({0, 3, 4})).sizes(), (std::vector<std::int64_t>{0, 3}));
}

TEST(PresentSlots, OnePrototypeIsAlwaysPresent) {
  EXPECT_TRUE(at::equal(present_slots(floats({2, 1, 4}, 1)), torch::ones({2, 1}, torch::kBool)));
}

TEST(PresentSlots, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef sizes) {
    return error_text<c10::ValueError>([&] { present_slots(torch::zeros(sizes)); });
  };
  EXPECT_EQ(says({2, 3}), "present_slots: expected scores [B,K,*spatial] with K >= 1, got [2, 3]");
  EXPECT_EQ(says({2, 0, 3}),
            "present_slots: expected scores [B,K,*spatial] with K >= 1, got [2, 0, 3]");
}

TEST(PairSlots, PairsWhatIsPresentInBothAndCountsAmongTheKeys) {
  const auto anchor = torch::tensor({{true, true, false}, {false, true, true}});
  const auto key = torch::tensor({{true, false, true}, {true, false, true}});
  const auto pairs = pair_slots(anchor, key);
  EXPECT_TRUE(at::equal(pairs.anchors, torch::tensor({0, 5})));
  EXPECT_TRUE(at::equal(pairs.keys, torch::tensor({0, 2, 3, 5})));
  EXPECT_TRUE(at::equal(pairs.positive, torch::tensor({0, 3})));
}

TEST(PairSlots, NothingInCommon) {
  const auto pairs = pair_slots(masks({1, 0, 0}), masks({0, 1, 1}));
  EXPECT_EQ(pairs.anchors.numel(), 0);
  EXPECT_TRUE(at::equal(pairs.keys, torch::tensor({1, 2})));
  EXPECT_EQ(pairs.positive.numel(), 0);
}

TEST(PairSlots, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_text<c10::ValueError>([] {
              pair_slots(masks({1}), masks({1, 0}));
            }),
            "pair_slots: expected two masks [B,K] of one shape, got [1, 1] and [1, 2]");
  EXPECT_EQ(error_text<c10::ValueError>([] { pair_slots(masks({1})[0], masks({1})[0]); }),
            "pair_slots: expected two masks [B,K] of one shape, got [1] and [1]");
  EXPECT_EQ(error_text<c10::TypeError>([] {
              pair_slots(masks({1}), torch::ones({1, 1}));
            }),
            "pair_slots: expected masks of dtype Bool, got Bool and Float");
}

// ---- InfoNCE of rows ----

TEST(InfoNCE, HandComputedCase) {
  // One query along the first key, at right angles to the second: logits 2 and 0 at temperature
  // 1/2.
  const auto queries = torch::tensor({{3.0, 0.0}}, torch::kDouble);
  const auto keys = torch::tensor({{0.0, 5.0}, {2.0, 0.0}}, torch::kDouble);
  const auto options = SlotInfoNCEOptions().temperature(0.5);
  const auto right = info_nce(queries, keys, torch::tensor({1}), options);
  EXPECT_TRUE(close(right, torch::tensor(std::log1p(std::exp(-2.0)), torch::kDouble)));
  const auto wrong = info_nce(queries, keys, torch::tensor({0}), options);
  EXPECT_TRUE(close(wrong, torch::tensor(2 + std::log1p(std::exp(-2.0)), torch::kDouble)));
}

TEST(InfoNCE, DerivativesMatchCentralDifferences) {
  const auto positive = torch::tensor({3, 0, 3});
  const auto f = [&](const Tensors& a) {
    return info_nce(a[0], a[1], positive, SlotInfoNCEOptions().temperature(0.5));
  };
  EXPECT_TRUE(gradcheck(f, {noise({3, 4}, 1), noise({5, 4}, 2)}));
  EXPECT_TRUE(gradgradcheck(f, {noise({3, 4}, 1), noise({5, 4}, 2)}));
}

TEST(InfoNCE, IgnoresTheLengthOfRows) {
  const auto queries = noise({3, 4}, 1), keys = noise({5, 4}, 2);
  const auto positive = torch::tensor({3, 0, 4});
  EXPECT_TRUE(
      close(info_nce(100 * queries, 0.01 * keys, positive), info_nce(queries, keys, positive)));
}

TEST(InfoNCE, OrderOfKeysDoesNotCount) {
  const auto queries = noise({3, 4}, 1), keys = noise({5, 4}, 2);
  const auto positive = torch::tensor({3, 0, 4});
  const auto order = torch::tensor({2, 4, 0, 1, 3});
  const auto place = at::argsort(order);
  EXPECT_TRUE(close(info_nce(queries, keys.index_select(0, order), place.index_select(0, positive)),
                    info_nce(queries, keys, positive)));
}

TEST(InfoNCE, EqualKeysCostTheLogOfTheirNumber) {
  const auto loss =
      info_nce(noise({3, 4}, 1), noise({1, 4}, 2).expand({7, 4}), torch::tensor({0, 1, 2}));
  EXPECT_TRUE(close(loss, torch::tensor(0.4 * std::log(7.0), torch::kDouble)));
}

TEST(InfoNCE, SmallTemperatureMeasuresTheGapToTheBestKey) {
  const auto queries = noise({3, 4}, 1), keys = noise({5, 4}, 2);
  double gap = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    double best = -1;
    for (std::int64_t j = 0; j < 5; ++j) best = std::max(best, cosine(queries[i], keys[j]));
    gap += (best - cosine(queries[i], keys[0])) / 3;
  }
  const auto sharp =
      info_nce(queries, keys, torch::tensor({0, 0, 0}), SlotInfoNCEOptions().temperature(1e-5));
  ASSERT_GT(gap, 0.1);
  EXPECT_TRUE(close(sharp, torch::tensor(2 * gap, torch::kDouble)));
}

TEST(InfoNCE, OneKeyCostsNothing) {
  const auto queries = noise({3, 4}, 1).requires_grad_();
  const auto loss = info_nce(queries, noise({1, 4}, 2), torch::tensor({0, 0, 0}));
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 0);
  EXPECT_TRUE(at::equal(queries.grad(), torch::zeros({3, 4}, torch::kDouble)));
}

TEST(InfoNCE, NoQueryIsZeroWithAValidGraph) {
  const auto queries = torch::zeros({0, 4}, torch::kHalf).requires_grad_();
  const auto loss = info_nce(queries, floats({5, 4}, 2), torch::zeros({0}, torch::kLong));
  EXPECT_EQ(loss.dim(), 0);
  EXPECT_EQ(loss.scalar_type(), torch::kFloat);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_EQ(queries.grad().sizes(), queries.sizes());
}

TEST(InfoNCE, ZeroRowsHaveFiniteGradients) {
  auto queries = floats({2, 4}, 1), keys = floats({3, 4}, 2);
  queries[0].zero_();
  keys[2].zero_();
  queries.requires_grad_();
  keys.requires_grad_();
  const auto loss = info_nce(queries, keys, torch::tensor({1, 2}));
  loss.backward();
  EXPECT_TRUE(loss.isfinite().item<bool>());
  EXPECT_TRUE(queries.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(keys.grad().isfinite().all().item<bool>());
}

TEST(InfoNCE, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef queries, at::IntArrayRef keys, at::IntArrayRef positive,
                       double temperature = 0.2) {
    return error_text<c10::ValueError>([&] {
      info_nce(torch::zeros(queries), torch::zeros(keys), torch::zeros(positive, torch::kLong),
               SlotInfoNCEOptions().temperature(temperature));
    });
  };
  EXPECT_EQ(says({2, 3}, {4, 3}, {2}, 0), "info_nce: expected temperature > 0, got 0");
  EXPECT_EQ(says({2, 3}, {4, 5}, {2}),
            "info_nce: expected queries [n,D] and keys [m,D], got [2, 3] and [4, 5]");
  EXPECT_EQ(says({2}, {4, 5}, {2}),
            "info_nce: expected queries [n,D] and keys [m,D], got [2] and [4, 5]");
  EXPECT_EQ(says({2, 3}, {3}, {2}),
            "info_nce: expected queries [n,D] and keys [m,D], got [2, 3] and [3]");
  EXPECT_EQ(says({2, 3}, {4, 3}, {3}), "info_nce: expected positive [2], got [3]");
  EXPECT_EQ(says({2, 3}, {4, 3}, {2, 1}), "info_nce: expected positive [2], got [2, 1]");
  EXPECT_EQ(
      error_text<c10::TypeError>([] {
        info_nce(torch::zeros({2, 3}, torch::kLong), torch::zeros({4, 3}), torch::tensor({0, 1}));
      }),
      "info_nce: expected a floating dtype, got Long");
}

// ---- InfoNCE of slots ----

TEST(SlotInfoNCE, MatchesPairLoops) {
  const auto anchors = noise({3, 5, 4}, 1), keys = noise({3, 5, 4}, 2);
  const auto here = mask({3, 5}, 3), there = mask({3, 5}, 4);
  EXPECT_TRUE(close(slot_info_nce(anchors, keys, here, there),
                    contrast_by_loops(anchors, keys, here, there)));
  EXPECT_TRUE(
      close(slot_info_nce(anchors, keys, here, there, SlotInfoNCEOptions().temperature(0.7)),
            contrast_by_loops(anchors, keys, here, there, 0.7)));
}

TEST(SlotInfoNCE, MatchesPairLoopsInFloat32AtOddAndLargeSizes) {
  for (const auto& sizes :
       std::vector<std::vector<std::int64_t>>{{1, 1, 1}, {2, 17, 33}, {3, 31, 256}}) {
    const auto anchors = floats(sizes, 1), keys = floats(sizes, 2);
    const auto all = torch::ones({sizes[0], sizes[1]}, torch::kBool);
    const auto expected = contrast_by_loops(anchors, keys, all, all);
    const auto loss = slot_info_nce(anchors, keys, all, all);
    EXPECT_EQ(loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(loss, expected)) << sizes;
  }
}

TEST(SlotInfoNCE, DerivativesMatchCentralDifferences) {
  const auto here = mask({2, 4}, 3), there = mask({2, 4}, 4);
  ASSERT_GT((here & there).sum().item<std::int64_t>(), 1);
  const auto f = [&](const Tensors& a) { return slot_info_nce(a[0], a[1], here, there); };
  EXPECT_TRUE(gradcheck(f, {noise({2, 4, 3}, 1), noise({2, 4, 3}, 2)}));
  EXPECT_TRUE(gradgradcheck(f, {noise({2, 4, 3}, 1), noise({2, 4, 3}, 2)}));
}

TEST(SlotInfoNCE, EqualViewsFindTheirOwnKeys) {
  const auto slots = noise({3, 6, 8}, 1);
  const auto pairs = pair_slots(mask({3, 6}, 2), mask({3, 6}, 3));
  ASSERT_GT(pairs.anchors.numel(), 1);
  const auto rows = slots.flatten(0, 1);
  for (std::int64_t i = 0; i < pairs.anchors.numel(); ++i) {
    const auto anchor = rows[pairs.anchors[i].item<std::int64_t>()];
    std::int64_t best = 0;
    for (std::int64_t j = 1; j < pairs.keys.numel(); ++j) {
      const auto key = [&](std::int64_t place) {
        return rows[pairs.keys[place].item<std::int64_t>()];
      };
      if (cosine(anchor, key(j)) > cosine(anchor, key(best))) best = j;
    }
    EXPECT_EQ(best, pairs.positive[i].item<std::int64_t>());
  }
}

TEST(SlotInfoNCE, AbsentSlotsHaveNoPart) {
  const auto here = masks({1, 1, 0, 0}), there = masks({1, 0, 1, 0});
  const auto anchors = noise({1, 4, 3}, 1).requires_grad_(),
             keys = noise({1, 4, 3}, 2).requires_grad_();
  slot_info_nce(anchors, keys, here, there).backward();
  const auto touched = [](const torch::Tensor& slots) { return (slots.grad() != 0).any(2); };
  EXPECT_TRUE(at::equal(touched(anchors), masks({1, 0, 0, 0})));
  EXPECT_TRUE(
      at::equal(touched(keys), masks({1, 0, 1, 0})));  // a key without an anchor is a negative
}

TEST(SlotInfoNCE, PermutedPrototypesGiveTheSameLoss) {
  const auto anchors = noise({2, 5, 4}, 1), keys = noise({2, 5, 4}, 2);
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  const auto order = torch::tensor({3, 0, 4, 1, 2});
  const auto permuted = [&](const torch::Tensor& tensor) { return tensor.index_select(1, order); };
  EXPECT_TRUE(
      close(slot_info_nce(permuted(anchors), permuted(keys), permuted(here), permuted(there)),
            slot_info_nce(anchors, keys, here, there)));
}

TEST(SlotInfoNCE, NoSharedSlotIsZeroWithAValidGraph) {
  const auto anchors = floats({1, 4, 3}, 1).requires_grad_();
  const auto keys = floats({1, 4, 3}, 2);
  for (const auto& there : {masks({0, 0, 1, 1}), masks({0, 0, 0, 0})}) {
    anchors.mutable_grad() = torch::Tensor();
    const auto loss = slot_info_nce(anchors, keys, masks({1, 1, 0, 0}), there);
    EXPECT_EQ(loss.item<double>(), 0);
    loss.backward();
    EXPECT_TRUE(at::equal(anchors.grad(), torch::zeros({1, 4, 3})));
  }
}

TEST(SlotInfoNCE, NoImageIsZeroWithAValidGraph) {
  const auto anchors = torch::zeros({0, 4, 3}).requires_grad_();
  const auto none = torch::zeros({0, 4}, torch::kBool);
  const auto loss = slot_info_nce(anchors, torch::zeros({0, 4, 3}), none, none);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_EQ(anchors.grad().sizes(), anchors.sizes());
}

TEST(SlotInfoNCE, AnyMemoryLayout) {
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  const auto anchors = floats({2, 4, 5}, 1).transpose(1, 2);
  const auto keys = floats({2, 10, 8}, 2).slice(1, 0, 10, 2).slice(2, 1, 5);
  const auto turned = here.t().contiguous().t();
  EXPECT_TRUE(close(slot_info_nce(anchors, keys, turned, there),
                    contrast_by_loops(anchors, keys, here, there)));
  const auto one = keys.slice(0, 0, 1).expand({2, 5, 4});
  EXPECT_TRUE(close(slot_info_nce(anchors, one, here, there),
                    contrast_by_loops(anchors, one, here, there)));
}

TEST(SlotInfoNCE, HalfTypesAreComputedInFloat32) {
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto anchors = noise({2, 5, 16}, 1).to(type).requires_grad_();
    const auto keys = noise({2, 5, 16}, 2).to(type);
    const auto loss = slot_info_nce(anchors, keys, here, there);
    EXPECT_EQ(loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(loss, contrast_by_loops(anchors, keys, here, there))) << type;
    loss.backward();
    const auto anchors64 = anchors.detach().to(torch::kDouble).requires_grad_();
    slot_info_nce(anchors64, keys.to(torch::kDouble), here, there).backward();
    EXPECT_EQ(anchors.grad().scalar_type(), type);
    EXPECT_TRUE(close(anchors.grad(), anchors64.grad())) << type;
  }
}

TEST(SlotInfoNCE, HalfNormsDoNotOverflow) {
  const auto anchors = (300 * noise({1, 3, 64}, 1)).to(torch::kHalf);  // |q|^2 is beyond float16
  const auto keys = (300 * noise({1, 3, 64}, 2)).to(torch::kHalf);
  const auto all = torch::ones({1, 3}, torch::kBool);
  EXPECT_TRUE(
      close(slot_info_nce(anchors, keys, all, all), contrast_by_loops(anchors, keys, all, all)));
}

TEST(SlotInfoNCE, AutocastChangesNothing) {
  const auto anchors = floats({2, 5, 16}, 1), keys = floats({2, 5, 16}, 2);
  const auto all = torch::ones({2, 5}, torch::kBool);
  const auto expected = slot_info_nce(anchors, keys, all, all);
  const Autocast autocast;
  EXPECT_TRUE(at::equal(slot_info_nce(anchors, keys, all, all), expected));
}

TEST(SlotInfoNCE, TwoCallsAreBitwiseEqual) {
  const auto anchors = floats({3, 31, 64}, 1).requires_grad_();
  const auto keys = floats({3, 31, 64}, 2);
  const auto here = mask({3, 31}, 3), there = mask({3, 31}, 4);
  const auto run = [&] {
    const auto loss = slot_info_nce(anchors, keys, here, there);
    return std::pair(loss.detach(), torch::autograd::grad({loss}, {anchors})[0]);
  };
  const auto a = run(), b = run();
  EXPECT_TRUE(at::equal(a.first, b.first));
  EXPECT_TRUE(at::equal(a.second, b.second));
}

TEST(SlotInfoNCE, AutoIsFusedInFloat32AndTheReferenceInFloat64) {
  const auto by = [](Backend backend, at::ScalarType type) {
    const auto all = torch::ones({2, 5}, torch::kBool);
    return slot_info_nce(noise({2, 5, 4}, 1).to(type), noise({2, 5, 4}, 2).to(type), all, all,
                         SlotInfoNCEOptions().backend(backend));
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto, torch::kFloat), by(Backend::kFused, torch::kFloat)));
  EXPECT_TRUE(close(by(Backend::kFused, torch::kFloat), by(Backend::kReference, torch::kFloat)));
  EXPECT_TRUE(
      at::equal(by(Backend::kAuto, torch::kDouble), by(Backend::kReference, torch::kDouble)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused, torch::kDouble); }),
            "info_nce: Backend::kFused is unavailable: no kernel for Double on cpu");
}

TEST(SlotInfoNCE, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef anchors, at::IntArrayRef keys, at::IntArrayRef here,
                       at::IntArrayRef there) {
    return error_text<c10::ValueError>([&] {
      slot_info_nce(torch::zeros(anchors), torch::zeros(keys), torch::zeros(here, torch::kBool),
                    torch::zeros(there, torch::kBool));
    });
  };
  EXPECT_EQ(says({2, 3}, {2, 3}, {2, 3}, {2, 3}),
            "slot_info_nce: expected anchors and keys [B,K,D] of one shape, got [2, 3] and [2, 3]");
  EXPECT_EQ(
      says({2, 3, 4}, {2, 5, 4}, {2, 3}, {2, 3}),
      "slot_info_nce: expected anchors and keys [B,K,D] of one shape, got [2, 3, 4] and [2, 5, 4]");
  EXPECT_EQ(says({2, 3, 4}, {2, 3, 4}, {2, 4}, {2, 4}),
            "slot_info_nce: expected masks [2, 3], got [2, 4]");
  EXPECT_EQ(says({2, 3, 4}, {2, 3, 4}, {2, 3}, {2, 4}),
            "pair_slots: expected two masks [B,K] of one shape, got [2, 3] and [2, 4]");
}

// ---- Several processes ----

TEST(SlotInfoNCE, GroupContrastsWithTheKeysOfAll) {
  // Ranks of 1, 0 and 3 images; the only image of rank 0 has keys but no anchor.
  const auto anchors = floats({4, 5, 8}, 1), keys = floats({4, 5, 8}, 2);
  auto here = mask({4, 5}, 3);
  const auto there = mask({4, 5}, 4);
  here[0].zero_();
  ASSERT_GT(there[0].sum().item<std::int64_t>(), 0);
  ASSERT_GT((here & there).sum().item<std::int64_t>(), 1);
  const auto joined_anchors = anchors.clone().requires_grad_();
  const auto joined = slot_info_nce(joined_anchors, keys, here, there);
  joined.backward();
  run_group(3, [&](const CollectivesPtr& group) {
    const auto begin = std::array<std::int64_t, 4>{0, 1, 1, 4};
    const auto rank = static_cast<std::size_t>(group->rank());
    const auto own = [&](const torch::Tensor& all) {
      return all.slice(0, begin[rank], begin[rank + 1]);
    };
    const auto own_anchors = own(anchors).clone().requires_grad_();
    const auto own_keys = own(keys).clone().requires_grad_();
    const auto loss = slot_info_nce(own_anchors, own_keys, own(here), own(there), {}, group.get());
    loss.backward();
    EXPECT_FALSE(own_keys.grad().defined());
    EXPECT_TRUE(close(own_anchors.grad() / 3, own(joined_anchors.grad()))) << "rank " << rank;
    if (rank == 2) {
      EXPECT_TRUE(close(loss / 3, joined));  // all anchors are here
    } else {
      EXPECT_EQ(loss.item<double>(), 0);
    }
  });
}

TEST(SlotInfoNCE, MeanOfEachProcessIsOverItsOwnAnchors) {
  const auto anchors = floats({5, 4, 8}, 1), keys = floats({5, 4, 8}, 2);
  const auto here = mask({5, 4}, 3), there = mask({5, 4}, 4);
  const auto count = (here & there).sum(1).to(torch::kDouble);
  const auto joined = slot_info_nce(anchors, keys, here, there).item<double>();
  std::array<double, 2> weighted{};
  run_group(2, [&](const CollectivesPtr& group) {
    const auto begin = std::array<std::int64_t, 3>{0, 2, 5};
    const auto rank = static_cast<std::size_t>(group->rank());
    const auto own = [&](const torch::Tensor& all) {
      return all.slice(0, begin[rank], begin[rank + 1]);
    };
    const auto loss =
        slot_info_nce(own(anchors), own(keys), own(here), own(there),
                      SlotInfoNCEOptions().mean_over(MeanOver::kEachProcess), group.get());
    ASSERT_GT(own(count).sum().item<double>(), 0);
    weighted[rank] = loss.item<double>() * own(count).sum().item<double>();
  });
  const auto mean = (weighted[0] + weighted[1]) / count.sum().item<double>();
  EXPECT_TRUE(close(torch::tensor(mean, torch::kFloat), torch::tensor(joined, torch::kDouble)));
}

// ---- The module ----

TEST(SlotInfoNCEModule, PredictsTheAnchorsAloneAndKeysTakeNoGradient) {
  torch::nn::Linear linear(4, 4);
  linear->to(torch::kDouble);
  SlotInfoNCE contrast{AnyModule(linear), SlotInfoNCEOptions().temperature(0.5)};
  const auto anchors = noise({2, 5, 4}, 1).requires_grad_(),
             keys = noise({2, 5, 4}, 2).requires_grad_();
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  const auto loss = contrast->forward(anchors, keys, here, there);
  EXPECT_TRUE(close(loss, contrast_by_loops(linear->forward(anchors), keys, here, there, 0.5)));
  loss.backward();
  EXPECT_GT(anchors.grad().abs().sum().item<double>(), 0);
  EXPECT_GT(linear->weight.grad().abs().sum().item<double>(), 0);
  EXPECT_FALSE(keys.grad().defined());
}

TEST(SlotInfoNCEModule, BatchNormSeesOnlyTheAnchors) {
  auto head = predictor(4);
  SlotInfoNCE contrast{AnyModule(head)};
  const auto anchors = floats({2, 5, 4}, 1);
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  auto twin = std::dynamic_pointer_cast<slotcon::ProjectionHeadImpl>(head->clone());
  contrast->forward(anchors, floats({2, 5, 4}, 2), here, there);
  twin->forward(anchors.flatten(0, 1).index_select(0, pair_slots(here, there).anchors));
  EXPECT_TRUE(at::equal(head->named_buffers()["mlp.1.running_var"],
                        twin->named_buffers()["mlp.1.running_var"]));
}

TEST(SlotInfoNCEModule, NoSharedSlotReachesEveryParameterOfThePredictor) {
  auto head = predictor(4);
  SlotInfoNCE contrast{AnyModule(head)};
  const auto buffers = head->named_buffers();
  std::vector<torch::Tensor> before;
  for (const auto& buffer : buffers) before.push_back(buffer.value().clone());
  const auto anchors = floats({1, 4, 4}, 1).requires_grad_();
  const auto loss =
      contrast->forward(anchors, floats({1, 4, 4}, 2), masks({1, 1, 0, 0}), masks({0, 0, 1, 1}));
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_TRUE(at::equal(anchors.grad(), torch::zeros({1, 4, 4})));
  for (const auto& parameter : head->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_TRUE(at::equal(parameter.value().grad(), at::zeros_like(parameter.value())))
        << parameter.key();
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(at::equal(buffers[i].value(), before[i])) << buffers[i].key();
  }
  EXPECT_TRUE(head->is_training());
}

TEST(SlotInfoNCEModule, OneAnchorPassesABatchNorm) {
  auto head = predictor(4);
  SlotInfoNCE contrast{AnyModule(head)};
  const auto anchors = floats({1, 4, 4}, 1).requires_grad_();
  const auto loss =
      contrast->forward(anchors, floats({1, 4, 4}, 2), masks({1, 1, 0, 0}), masks({1, 0, 1, 1}));
  loss.backward();
  EXPECT_GT(loss.item<double>(), 0);
  EXPECT_TRUE(anchors.grad().isfinite().all().item<bool>());
  EXPECT_GT(anchors.grad().abs().sum().item<double>(), 0);
  for (const auto& parameter : head->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
  }
}

TEST(SlotInfoNCEModule, HalfSlotsMeetAFloat32Predictor) {
  torch::nn::Linear linear(16, 16);
  SlotInfoNCE contrast{AnyModule(linear)};
  const auto here = mask({2, 5}, 3), there = mask({2, 5}, 4);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto anchors = noise({2, 5, 16}, 1).to(type).requires_grad_();
    const auto keys = noise({2, 5, 16}, 2).to(type);
    const auto loss = contrast->forward(anchors, keys, here, there);
    EXPECT_EQ(loss.scalar_type(), torch::kFloat);
    const auto predicted = linear->forward(anchors.detach().to(torch::kFloat));
    EXPECT_TRUE(close(loss, contrast_by_loops(predicted, keys, here, there))) << type;
    loss.backward();
    EXPECT_EQ(anchors.grad().scalar_type(), type);
  }
}

TEST(SlotInfoNCEModule, PrintsItsNumbersAndNamesItsPredictor) {
  const SlotInfoNCE contrast{AnyModule(torch::nn::Linear(4, 4)),
                             SlotInfoNCEOptions().temperature(0.5)};
  std::ostringstream out;
  contrast->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::SlotInfoNCE(temperature=0.5)");
  EXPECT_EQ(contrast->named_parameters().keys(),
            (std::vector<std::string>{"predictor.weight", "predictor.bias"}));
}

TEST(SlotInfoNCEModule, CloneIsDeep) {
  torch::nn::Linear linear(4, 4);
  SlotInfoNCE contrast{AnyModule(linear), SlotInfoNCEOptions().temperature(0.5)};
  const auto clone = std::dynamic_pointer_cast<slotcon::SlotInfoNCEImpl>(contrast->clone());
  const auto anchors = floats({2, 5, 4}, 1), keys = floats({2, 5, 4}, 2);
  const auto all = torch::ones({2, 5}, torch::kBool);
  const auto before = contrast->forward(anchors, keys, all, all);
  EXPECT_TRUE(at::equal(clone->forward(anchors, keys, all, all), before));
  {
    const torch::NoGradGuard no_grad;
    linear->weight.add_(1);
  }
  EXPECT_TRUE(at::equal(clone->forward(anchors, keys, all, all), before));
  EXPECT_FALSE(at::equal(contrast->forward(anchors, keys, all, all), before));
  // The predictor that runs is the one whose parameters an optimiser gets.
  clone->forward(anchors, keys, all, all).backward();
  for (const auto& parameter : clone->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST(SlotInfoNCEModule, SavesLoadsAndConverts) {
  SlotInfoNCE saved{AnyModule(torch::nn::Linear(4, 4))}, loaded{AnyModule(torch::nn::Linear(4, 4))};
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  saved->to(torch::kDouble);
  loaded->to(torch::kDouble);
  const auto anchors = noise({2, 5, 4}, 1), keys = noise({2, 5, 4}, 2);
  const auto all = torch::ones({2, 5}, torch::kBool);
  const auto loss = loaded->forward(anchors, keys, all, all);
  EXPECT_EQ(loss.scalar_type(), torch::kDouble);
  EXPECT_TRUE(at::equal(loss, saved->forward(anchors, keys, all, all)));
}
