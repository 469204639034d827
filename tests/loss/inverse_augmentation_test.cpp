#include <gtest/gtest.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <slotcon/loss/prototype_assignment.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/boxes.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/noise.h"
#include "tests/support/tolerance.h"

using slotcon::Backend;
using slotcon::InverseAugmentation;
using slotcon::InverseAugmentationOptions;
using slotcon::functional::inverse_augment;
using slotcon::testing::Autocast;
using slotcon::testing::box;
using slotcon::testing::close;
using slotcon::testing::flags;
using slotcon::testing::floats;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::noise;
using slotcon::testing::random_boxes;
using slotcon::testing::Tensors;

namespace {

/// RoIAlign's bilinear sample of one map [H,W].
double sample(const torch::TensorAccessor<double, 2>& map, double y, double x) {
  const auto height = map.size(0), width = map.size(1);
  const auto outside = [](double at, std::int64_t size) {
    return at < -1 || at > static_cast<double>(size);
  };
  if (outside(y, height) || outside(x, width)) return 0;
  const auto taps = [](double at, std::int64_t size) {
    at = std::max(at, 0.0);
    const auto low = static_cast<std::int64_t>(at);
    if (low >= size - 1) return std::tuple(size - 1, size - 1, 0.0);
    return std::tuple(low, low + 1, at - static_cast<double>(low));
  };
  const auto [top, bottom, down] = taps(y, height);
  const auto [left, right, across] = taps(x, width);
  return (1 - down) * ((1 - across) * map[top][left] + across * map[top][right]) +
         down * ((1 - across) * map[bottom][left] + across * map[bottom][right]);
}

/// RoIAlign (aligned, sampling ratio -1) of each image's box to the maps' own size, then the mirror
/// image where flipped; one sample at a time in float64.
torch::Tensor aligned_by_loops(const torch::Tensor& maps, const torch::Tensor& boxes,
                               const torch::Tensor& flipped) {
  const auto maps64 = maps.detach().to(torch::kDouble);
  const auto boxes64 = boxes.detach().to(torch::kDouble);
  const auto from = maps64.accessor<double, 4>();
  const auto box = boxes64.accessor<double, 2>();
  const auto flip = flipped.accessor<bool, 1>();
  const auto result = torch::zeros(maps.sizes(), torch::kDouble);
  auto to = result.accessor<double, 4>();
  const auto height = maps.size(2), width = maps.size(3);
  for (std::int64_t b = 0; b < maps.size(0); ++b) {
    const double y_start = box[b][1] * static_cast<double>(height) - 0.5;
    const double x_start = box[b][0] * static_cast<double>(width) - 0.5;
    const double y_bin = box[b][3] - box[b][1], x_bin = box[b][2] - box[b][0];
    const int rows = static_cast<int>(std::ceil(y_bin)),
              columns = static_cast<int>(std::ceil(x_bin));
    for (std::int64_t k = 0; k < maps.size(1); ++k) {
      for (std::int64_t p = 0; p < height; ++p) {
        for (std::int64_t q = 0; q < width; ++q) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) {
            const double y = y_start + (static_cast<double>(p) + (i + 0.5) / rows) * y_bin;
            for (int j = 0; j < columns; ++j) {
              const double x = x_start + (static_cast<double>(q) + (j + 0.5) / columns) * x_bin;
              sum += sample(from[b][k], y, x);
            }
          }
          to[b][k][p][flip[b] ? width - 1 - q : q] = sum / std::max(rows * columns, 1);
        }
      }
    }
  }
  return result;
}

torch::Tensor not_flipped() { return flags({0}); }
torch::Tensor is_flipped() { return flags({1}); }

}  // namespace

// ---- Values ----

TEST(InverseAugment, BoxOfTheWholeMapIsAnExactCopy) {
  for (const auto type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    for (const auto& sizes :
         std::vector<std::vector<std::int64_t>>{{1, 3, 7, 7}, {1, 2, 5, 9}, {1, 1, 1, 1}}) {
      const auto maps = noise(sizes, 1).to(type);
      EXPECT_TRUE(at::equal(inverse_augment(maps, box(0, 0, 1, 1), not_flipped()), maps)) << type;
    }
  }
}

TEST(InverseAugment, FlipMirrorsLeftAndRightAndTwiceIsNothing) {
  const auto maps = floats({1, 3, 4, 6}, 1);
  const auto once = inverse_augment(maps, box(0, 0, 1, 1), is_flipped());
  EXPECT_TRUE(at::equal(once, maps.flip(3)));
  EXPECT_TRUE(at::equal(inverse_augment(once, box(0, 0, 1, 1), is_flipped()), maps));
}

TEST(InverseAugment, MirroredViewWithItsMirroredBoxIsTheSame) {
  const auto maps = noise({1, 3, 4, 6}, 1);
  const auto plain = inverse_augment(maps, box(0.25, 0, 1, 1), not_flipped());
  const auto mirrored = inverse_augment(maps.flip(3), box(0, 0, 0.75, 1), is_flipped());
  EXPECT_TRUE(close(mirrored, plain));
}

TEST(InverseAugment, HandComputedCase) {
  // Half the width at half the step: samples at 1.75, 2.25, 2.75 and 3.25, the last beyond the last
  // pixel.
  const auto row = torch::tensor({0.0, 1.0, 2.0, 3.0}, torch::kDouble).view({1, 1, 1, 4});
  const auto expected = torch::tensor({1.75, 2.25, 2.75, 3.0}, torch::kDouble).view({1, 1, 1, 4});
  EXPECT_TRUE(close(inverse_augment(row, box(0.5, 0, 1, 1), not_flipped()), expected));
  EXPECT_TRUE(close(inverse_augment(row, box(0.5, 0, 1, 1), is_flipped()), expected.flip(3)));
  const auto column = row.transpose(2, 3);
  EXPECT_TRUE(
      close(inverse_augment(column, box(0, 0.5, 1, 1), not_flipped()), expected.transpose(2, 3)));
  EXPECT_TRUE(
      close(inverse_augment(column, box(0, 0.5, 1, 1), is_flipped()), expected.transpose(2, 3)));
}

TEST(InverseAugment, MatchesSampleLoops) {
  const auto flipped = flags({0, 1, 1, 0, 1, 0, 0, 1});
  const auto boxes = random_boxes(8, 1);
  for (const auto& [height, width] :
       {std::pair<std::int64_t, std::int64_t>{7, 7}, {3, 8}, {1, 5}, {6, 1}}) {
    const auto maps = noise({8, 3, height, width}, 2);
    const auto expected = aligned_by_loops(maps, boxes, flipped);
    EXPECT_TRUE(close(inverse_augment(maps, boxes, flipped), expected)) << height << "x" << width;
  }
}

TEST(InverseAugment, MatchesSampleLoopsInFloat32AtOddAndLargeSizes) {
  const auto boxes = random_boxes(2, 3);
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{
           {2, 1, 2, 2}, {2, 257, 7, 7}, {2, 5, 31, 17}, {2, 3, 64, 65}}) {
    const auto maps = floats(sizes, 2);
    const auto flipped = flags({1, 0});
    EXPECT_TRUE(
        close(inverse_augment(maps, boxes, flipped), aligned_by_loops(maps, boxes, flipped)));
  }
}

TEST(InverseAugment, BoxesBeyondTheViewAreSampledFromTheBorderThenZero) {
  const auto maps = noise({3, 2, 4, 4}, 1);
  const auto boxes = torch::tensor(
      {{-0.2f, 0.1f, 0.4f, 0.9f}, {0.6f, 0.5f, 1.4f, 1.1f}, {0.9f, 1.3f, 1.6f, 2.1f}});
  const auto flipped = flags({0, 1, 0});
  EXPECT_TRUE(close(inverse_augment(maps, boxes, flipped), aligned_by_loops(maps, boxes, flipped)));
}

// ---- Gradients ----

TEST(InverseAugment, DerivativesMatchCentralDifferences) {
  const auto boxes = random_boxes(3, 1);
  const auto flipped = flags({0, 1, 1});
  const auto f = [&](const Tensors& a) { return inverse_augment(a[0], boxes, flipped); };
  EXPECT_TRUE(gradcheck(f, {noise({3, 2, 4, 3}, 2)}));
  EXPECT_TRUE(gradgradcheck(f, {noise({3, 2, 4, 3}, 2)}));
}

TEST(InverseAugment, BoxesTakeNoGradient) {
  const auto maps = floats({3, 2, 4, 3}, 1).requires_grad_();
  const auto boxes = random_boxes(3, 1).requires_grad_();
  inverse_augment(maps, boxes, flags({0, 1, 1})).sum().backward();
  EXPECT_TRUE(maps.grad().defined());
  EXPECT_FALSE(boxes.grad().defined());
}

// ---- Properties ----

TEST(InverseAugment, ConstantMapsStayConstant) {
  const auto maps = torch::full({8, 2, 5, 7}, 0.7, torch::kDouble);
  EXPECT_TRUE(
      close(inverse_augment(maps, random_boxes(8, 1), flags({0, 1, 1, 0, 1, 0, 0, 1})), maps));
}

TEST(InverseAugment, EachImageHasItsOwnBoxAndFlag) {
  const auto maps = floats({3, 2, 5, 7}, 1);
  const auto boxes = random_boxes(3, 2);
  const auto flipped = flags({0, 1, 0});
  const auto all = inverse_augment(maps, boxes, flipped);
  for (std::int64_t b = 0; b < 3; ++b) {
    EXPECT_TRUE(close(inverse_augment(maps.slice(0, b, b + 1), boxes.slice(0, b, b + 1),
                                      flipped.slice(0, b, b + 1)),
                      all.slice(0, b, b + 1)));
  }
}

TEST(InverseAugment, TwoCallsAreBitwiseEqual) {
  const auto maps = floats({2, 33, 7, 9}, 1).requires_grad_();
  const auto run = [&] {
    const auto aligned = inverse_augment(maps, random_boxes(2, 2), flags({0, 1}));
    return std::pair(aligned.detach(), torch::autograd::grad({aligned.square().sum()}, {maps})[0]);
  };
  const auto a = run(), b = run();
  EXPECT_TRUE(at::equal(a.first, b.first));
  EXPECT_TRUE(at::equal(a.second, b.second));
}

// ---- Edge cases ----

TEST(InverseAugment, ViewsThatShareNothingGiveZerosAndNoGradient) {
  const auto nothing = std::vector<torch::Tensor>{
      box(0.8, 0.1, 0.6, 0.9),    // disjoint in x
      box(0.1, 0.7, 0.9, 0.65),   // disjoint in y
      box(1.4, 1.2, -0.4, -0.1),  // in both
      box(2.5, 0.1, 0.2, 0.9),    // in x by more than a view
      box(0.1, 1.0, 0.9, -3.0),   // in y by more than a view
      box(0.5, 0.1, 0.5, 0.9),    // they touch
  };
  const auto boxes = at::cat(nothing);
  const auto maps = floats({6, 2, 4, 5}, 1).requires_grad_();
  const auto aligned = inverse_augment(maps, boxes, flags({0, 1, 0, 1, 0, 1}));
  EXPECT_TRUE(at::equal(aligned, torch::zeros({6, 2, 4, 5})));
  aligned.sum().backward();
  EXPECT_TRUE(at::equal(maps.grad(), torch::zeros({6, 2, 4, 5})));
}

TEST(InverseAugment, DisjointViewsTeachNothingAtCentreZero) {
  const auto student = floats({2, 32, 7, 7}, 1).requires_grad_();
  const auto teacher = floats({2, 32, 7, 7}, 2);
  const auto boxes = box(0.8, 0.1, 0.6, 0.9).expand({2, 4});
  const auto flipped = flags({0, 1});
  const auto loss = slotcon::functional::assignment_cross_entropy(
      inverse_augment(student, boxes, flipped), inverse_augment(teacher, boxes, flipped),
      torch::zeros({1, 32}));
  EXPECT_TRUE(close(loss, torch::tensor(std::log(32.0), torch::kDouble)));
  loss.backward();
  EXPECT_TRUE(at::equal(student.grad(), torch::zeros({2, 32, 7, 7})));
}

TEST(InverseAugment, TinyOverlapSpreadsOneSpotOverTheMap) {
  const auto maps = floats({1, 2, 8, 8}, 1);
  const double ulp = std::ldexp(1.0, -24);  // of 0.5 in float32
  for (const double extent : {1e-3, 1e-6, ulp}) {
    const auto tiny = box(0.5, 0.5, 0.5 + extent, 0.5 + extent);
    const auto aligned = inverse_augment(maps, tiny, not_flipped());
    EXPECT_TRUE(close(aligned, aligned_by_loops(maps, tiny, not_flipped()))) << extent;
    EXPECT_GT(aligned.abs().max().item<double>(), 0) << extent;
  }
}

TEST(InverseAugment, BoxOverOneByRoundingIsSampledTwice) {
  const double over = 1 + std::ldexp(1.0, -23);  // the float32 after 1
  const auto maps = floats({1, 2, 4, 8}, 1);
  for (const auto& wide : {box(0, 0, over, 1), box(0, 0, 1, over), box(0, 0, over, over)}) {
    EXPECT_TRUE(close(inverse_augment(maps, wide, is_flipped()),
                      aligned_by_loops(maps, wide, is_flipped())));
  }
}

TEST(InverseAugment, NothingToAlignKeepsShapeAndGraph) {
  for (const auto& sizes :
       std::vector<std::vector<std::int64_t>>{{0, 3, 4, 4}, {1, 0, 4, 4}, {1, 3, 0, 4}}) {
    const auto maps = torch::zeros(sizes).requires_grad_();
    const auto aligned =
        inverse_augment(maps, torch::zeros({sizes[0], 4}), torch::zeros({sizes[0]}, torch::kBool));
    EXPECT_EQ(aligned.sizes(), maps.sizes());
    aligned.sum().backward();
    EXPECT_EQ(maps.grad().sizes(), maps.sizes());
  }
}

// ---- Layouts and types ----

TEST(InverseAugment, AnyMemoryLayout) {
  const auto boxes = random_boxes(2, 1);
  const auto flipped = flags({1, 0});
  const auto base = floats({2, 6, 4, 10}, 2);
  for (const auto& maps :
       {base.contiguous(torch::MemoryFormat::ChannelsLast), base.slice(1, 0, 6, 2),
        base.slice(3, 1, 9, 2), base.transpose(2, 3), base.slice(1, 0, 1).expand({2, 3, 4, 10}),
        base.slice(0, 0, 1).expand({2, 6, 4, 10})}) {
    EXPECT_TRUE(
        close(inverse_augment(maps, boxes, flipped), aligned_by_loops(maps, boxes, flipped)))
        << maps.strides();
  }
  const auto spread_boxes = at::stack({boxes, boxes}, 2).select(2, 0);
  EXPECT_TRUE(
      close(inverse_augment(base, spread_boxes, flipped), aligned_by_loops(base, boxes, flipped)));
  const auto one = boxes.slice(0, 0, 1).expand({2, 4});
  const auto both = flags({1}).expand({2});
  EXPECT_TRUE(close(inverse_augment(base, one, both), aligned_by_loops(base, one, both)));
}

TEST(InverseAugment, HalfTypesAreSampledInFloat32) {
  const auto boxes = random_boxes(2, 1);
  const auto flipped = flags({1, 0});
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto maps = noise({2, 3, 7, 7}, 2).to(type).requires_grad_();
    const auto aligned = inverse_augment(maps, boxes, flipped);
    EXPECT_EQ(aligned.scalar_type(), type);
    EXPECT_TRUE(close(aligned, aligned_by_loops(maps, boxes, flipped))) << type;
    aligned.sum().backward();
    EXPECT_EQ(maps.grad().scalar_type(), type);
  }
}

TEST(InverseAugment, BoxesOfAnyFloatingType) {
  const auto maps = noise({2, 3, 4, 4}, 2);
  const auto boxes =
      torch::tensor({{0.25, 0.0, 0.75, 0.5}, {0.125, 0.25, 1.0, 1.0}});  // exact in all
  const auto flipped = flags({1, 0});
  const auto expected = aligned_by_loops(maps, boxes, flipped);
  for (const auto type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(close(inverse_augment(maps, boxes.to(type), flipped), expected)) << type;
  }
}

TEST(InverseAugment, AutocastChangesNothing) {
  const auto maps = floats({2, 3, 7, 7}, 2);
  const auto boxes = random_boxes(2, 1);
  const auto expected = inverse_augment(maps, boxes, flags({1, 0}));
  const Autocast autocast;
  EXPECT_TRUE(at::equal(inverse_augment(maps, boxes, flags({1, 0})), expected));
}

// ---- Backends and errors ----

TEST(InverseAugment, AutoIsFusedInFloat32AndTheReferenceInFloat64) {
  const auto by = [](Backend backend, at::ScalarType type) {
    return inverse_augment(noise({1, 3, 7, 7}, 2).to(type), box(0.1, 0.2, 0.8, 0.9), is_flipped(),
                           InverseAugmentationOptions().backend(backend));
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto, torch::kFloat), by(Backend::kFused, torch::kFloat)));
  EXPECT_TRUE(
      at::equal(by(Backend::kAuto, torch::kDouble), by(Backend::kReference, torch::kDouble)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused, torch::kDouble); }),
            "inverse_augment: Backend::kFused is unavailable: no kernel for Double on cpu");
}

TEST(InverseAugment, SaysWhatDoesNotFit) {
  const auto maps = torch::zeros({2, 3, 4, 4});
  const auto boxes = torch::zeros({2, 4});
  const auto flipped = flags({0, 1});
  const auto says = [](const torch::Tensor& m, const torch::Tensor& b, const torch::Tensor& f) {
    return error_text<c10::ValueError>([&] { inverse_augment(m, b, f); });
  };
  EXPECT_EQ(says(maps[0], boxes, flipped),
            "inverse_augment: expected maps [B,K,H,W], got [3, 4, 4]");
  EXPECT_EQ(says(maps, boxes[0], flipped), "inverse_augment: expected boxes [2, 4], got [4]");
  EXPECT_EQ(says(maps, torch::zeros({3, 4}), flipped),
            "inverse_augment: expected boxes [2, 4], got [3, 4]");
  EXPECT_EQ(says(maps, torch::zeros({2, 5}), flipped),
            "inverse_augment: expected boxes [2, 4], got [2, 5]");
  EXPECT_EQ(says(maps, boxes, flipped[0]), "inverse_augment: expected flipped [2], got []");
  EXPECT_EQ(says(maps, boxes, not_flipped()), "inverse_augment: expected flipped [2], got [1]");
  EXPECT_EQ(
      says(maps, boxes.to(torch::kMeta), flipped),
      "inverse_augment: expected maps, boxes and flipped on one device, got cpu, meta and cpu");
  EXPECT_EQ(
      error_text<c10::TypeError>([&] { inverse_augment(maps, boxes, flipped.to(torch::kByte)); }),
      "inverse_augment: expected flipped of dtype Bool, got Byte");
  EXPECT_EQ(
      error_text<c10::TypeError>([&] { inverse_augment(maps.to(torch::kLong), boxes, flipped); }),
      "inverse_augment: expected a floating dtype, got Long");
}

// ---- The module ----

TEST(InverseAugmentationModule, IsTheFunctionalWithoutState) {
  InverseAugmentation module;
  const auto maps = floats({2, 3, 7, 7}, 2);
  const slotcon::ViewGeometry view{random_boxes(2, 1), flags({1, 0})};
  EXPECT_TRUE(
      at::equal(module->forward(maps, view), inverse_augment(maps, view.boxes, view.flipped)));
  EXPECT_TRUE(module->parameters().empty());
  EXPECT_TRUE(module->buffers().empty());
}

TEST(InverseAugmentationModule, PrintsItsNameAndClonesItsOptions) {
  const InverseAugmentation module(InverseAugmentationOptions().backend(Backend::kReference));
  std::ostringstream out;
  module->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::InverseAugmentation()");
  const auto clone = std::dynamic_pointer_cast<slotcon::InverseAugmentationImpl>(module->clone());
  EXPECT_EQ(clone->options.backend(), Backend::kReference);
}
