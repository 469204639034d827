#include <gtest/gtest.h>
#include <slotcon/core/autocast.h>
#include <slotcon/core/backend.h>
#include <slotcon/core/moving_average.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/core/precision.h>
#include <slotcon/core/unit_length.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

using slotcon::AutocastOff;
using slotcon::Backend;
using slotcon::Choice;
using slotcon::compute_type;
using slotcon::unit_length;
using slotcon::update_moving_average;
using slotcon::use_fused;
using slotcon::testing::Autocast;
using slotcon::testing::close;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::noise;
using slotcon::testing::Tensors;

namespace {

std::string printed(Backend backend) {
  std::ostringstream out;
  out << backend;
  return out.str();
}

/// x^2 with a right first derivative through which no second one passes.
struct SquareOnce : torch::autograd::Function<SquareOnce> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x) {
    context->save_for_backward({x});
    return x * x;
  }
  static Tensors backward(torch::autograd::AutogradContext* context, const Tensors& grad) {
    return {2 * context->get_saved_variables()[0].detach() * grad[0]};
  }
};

}  // namespace

TEST(Backend, PrintsItsName) {
  EXPECT_EQ(printed(Backend::kAuto), "auto");
  EXPECT_EQ(printed(Backend::kReference), "reference");
  EXPECT_EQ(printed(Backend::kFused), "fused");
  EXPECT_EQ(printed(static_cast<Backend>(7)), "invalid");
}

TEST(Backend, WishAndChoiceDecideWhatRuns) {
  const Choice can{true, ""};
  const Choice cannot{false, "no kernel for Float on cpu"};
  EXPECT_TRUE(use_fused(Backend::kAuto, can, "who"));
  EXPECT_FALSE(use_fused(Backend::kAuto, cannot, "who"));
  EXPECT_FALSE(use_fused(Backend::kReference, can, "who"));
  EXPECT_FALSE(use_fused(Backend::kReference, cannot, "who"));
  EXPECT_TRUE(use_fused(Backend::kFused, can, "who"));
}

TEST(Backend, FusedThrowsWithTheReason) {
  const Choice cannot{false, "no kernel for Float on cpu"};
  EXPECT_EQ(
      error_text<c10::NotImplementedError>([&] { use_fused(Backend::kFused, cannot, "who"); }),
      "who: Backend::kFused is unavailable: no kernel for Float on cpu");
}

TEST(Precision, ComputesInFloat32ExceptForFloat64) {
  EXPECT_EQ(compute_type(torch::kDouble, "who"), torch::kDouble);
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_EQ(compute_type(type, "who"), torch::kFloat) << type;
  }
}

TEST(Precision, RefusesTypesThatAreNotFloating) {
  EXPECT_EQ(error_text<c10::TypeError>([] { compute_type(torch::kInt, "who"); }),
            "who: expected a floating dtype, got Int");
  EXPECT_EQ(error_text<c10::TypeError>([] { compute_type(torch::kBool, "who"); }),
            "who: expected a floating dtype, got Bool");
  EXPECT_EQ(error_text<c10::TypeError>([] { compute_type(torch::kComplexFloat, "who"); }),
            "who: expected a floating dtype, got ComplexFloat");
}

TEST(Precision, AutocastIsOffWithinTheScopeOnly) {
  const auto a = noise({3, 3}, 1).to(torch::kFloat);
  const Autocast autocast;
  EXPECT_EQ(at::matmul(a, a).scalar_type(), torch::kBFloat16);
  {
    const AutocastOff precise;
    EXPECT_EQ(at::matmul(a, a).scalar_type(), torch::kFloat);
  }
  EXPECT_EQ(at::matmul(a, a).scalar_type(), torch::kBFloat16);
}

TEST(Autocast, LowersProductsWithinTheScopeAndPutsBackWhatWasThere) {
  const auto a = noise({3, 3}, 1).to(torch::kFloat);
  const auto product_type = [&a] { return at::matmul(a, a).scalar_type(); };
  at::autocast::set_autocast_dtype(at::kCPU, at::kHalf);
  {
    const slotcon::Autocast outer(at::kCPU, at::kBFloat16);
    EXPECT_EQ(product_type(), torch::kBFloat16);
    {
      const slotcon::Autocast inner(at::kCPU, at::kHalf);
      EXPECT_EQ(product_type(), torch::kHalf);
      const slotcon::Autocast of_another_device(at::kCUDA, at::kBFloat16);
      EXPECT_EQ(product_type(), torch::kHalf);
      const slotcon::Autocast no_change(at::kCPU, at::kFloat);
      EXPECT_EQ(product_type(), torch::kHalf);
    }
    EXPECT_EQ(product_type(), torch::kBFloat16);
  }
  EXPECT_EQ(product_type(), torch::kFloat);
  EXPECT_EQ(at::autocast::get_autocast_dtype(at::kCPU), at::kHalf);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);  // LibTorch's default
}

TEST(Autocast, ForgetsTheWeightsOfTheStepBefore) {
  auto weight =
      torch::ones({2, 2}).requires_grad_();  // LibTorch keeps its bfloat16 copy in a scope
  const auto result = [&weight] {
    const slotcon::Autocast scope(at::kCPU, at::kBFloat16);
    return at::matmul(torch::ones({1, 2}), weight)[0][0].item<float>();
  };
  EXPECT_EQ(result(), 2);
  {
    const at::NoGradGuard no_grad;
    weight.fill_(3);
  }
  EXPECT_EQ(result(), 6);
}

TEST(Autocast, RefusesOtherTypes) {
  EXPECT_EQ(error_text<c10::TypeError>([] { slotcon::Autocast(at::kCPU, at::kDouble); }),
            "Autocast: expected Float, BFloat16 or Half, got Double");
}

TEST(MovingAverage, MovesEachTensorInPlace) {
  const auto a = torch::tensor({1.0, 2.0});
  const auto b = torch::tensor({{10.0}});
  const auto* const memory = a.data_ptr();
  update_moving_average({a, b}, {torch::tensor({3.0, -2.0}), torch::tensor({{20.0}})}, 0.75);
  EXPECT_TRUE(at::equal(a, torch::tensor({1.5, 1.0})));
  EXPECT_TRUE(at::equal(b, torch::tensor({{12.5}})));
  EXPECT_EQ(a.data_ptr(), memory);
}

TEST(MovingAverage, MomentumZeroCopiesAndOneKeeps) {
  const auto value = noise({5}, 1).to(torch::kFloat);
  const auto start = noise({5}, 2).to(torch::kFloat);
  const auto average = start.clone();
  update_moving_average({average}, {value}, 1);
  EXPECT_TRUE(at::equal(average, start));
  update_moving_average({average}, {value}, 0);
  EXPECT_TRUE(at::equal(average, value));
}

TEST(MovingAverage, TakesNoPartInTheGraph) {
  const auto average = noise({3}, 1).requires_grad_();
  const auto value = noise({3}, 2).requires_grad_();
  update_moving_average({average}, {value}, 0.5);
  EXPECT_TRUE(average.is_leaf());
  EXPECT_TRUE(average.requires_grad());
}

TEST(MovingAverage, ListsMustBeOfOneLength) {
  EXPECT_NO_THROW(update_moving_average({}, {}, 0.5));
  EXPECT_EQ(error_text<c10::ValueError>([] {
              update_moving_average({torch::zeros(1), torch::zeros(1)}, {torch::zeros(1)}, 0.5);
            }),
            "update_moving_average: expected one value for each of 2 averages, got 1");
}

TEST(UnitLength, DividesByTheNorm) {
  const auto vectors = torch::tensor({{3.0, 4.0}, {0.0, -2.0}}, torch::kDouble);
  const auto rows = torch::tensor({{0.6, 0.8}, {0.0, -1.0}}, torch::kDouble);
  EXPECT_TRUE(close(unit_length(vectors, 1), rows));
  EXPECT_TRUE(close(unit_length(vectors.t(), 0), rows.t()));
}

TEST(UnitLength, ZeroStaysZeroWithAFiniteGradient) {
  const auto vectors = torch::tensor({{0.0f, 0.0f}, {1e-8f, 0.0f}}).requires_grad_();
  const auto unit = unit_length(vectors, 1);
  EXPECT_TRUE(close(unit, torch::tensor({{0.0, 0.0}, {1.0, 0.0}})));
  (unit * noise({2, 2}, 1).to(torch::kFloat)).sum().backward();
  EXPECT_TRUE(vectors.grad().isfinite().all().item<bool>());
}

TEST(UnitLength, DerivativesMatchCentralDifferences) {
  const auto f = [](const Tensors& x) { return unit_length(x[0], 1); };
  EXPECT_TRUE(gradcheck(f, {noise({2, 4, 3}, 1)}));
  EXPECT_TRUE(gradgradcheck(f, {noise({2, 4, 3}, 1)}));
}

// The helpers of the tests: what they let pass proves something only if they also refuse.

TEST(Gradcheck, RefusesAWrongGradient) {
  const auto x = noise({3}, 1);
  EXPECT_TRUE(gradcheck([](const Tensors& a) { return a[0] * a[1]; }, {x, x}));
  EXPECT_FALSE(gradcheck([](const Tensors& a) { return a[0] * a[0].detach(); }, {x}));
  EXPECT_FALSE(gradcheck([](const Tensors& a) { return a[0] + a[1].detach(); }, {x, x}));
}

TEST(Gradcheck, RefusesAWrongSecondDerivative) {
  const auto square_once = [](const Tensors& a) { return SquareOnce::apply(a[0]); };
  EXPECT_TRUE(gradcheck(square_once, {noise({3}, 1)}));
  EXPECT_FALSE(gradgradcheck(square_once, {noise({3}, 1)}));
  EXPECT_TRUE(gradgradcheck([](const Tensors& a) { return a[0] * a[0]; }, {noise({3}, 1)}));
}

TEST(Tolerance, RefusesWhatIsFarUndefinedNotANumberOrOfAnotherShape) {
  const auto one = torch::ones({2}, torch::kDouble);
  EXPECT_TRUE(close(one + 1e-13, one));
  EXPECT_FALSE(close(one + 1e-11, one));
  EXPECT_FALSE(close(one.to(torch::kFloat) + 1e-4, one));
  EXPECT_FALSE(close(one * std::numeric_limits<double>::quiet_NaN(), one));
  EXPECT_FALSE(close(torch::Tensor(), one));
  EXPECT_FALSE(close(one, torch::ones({2, 1}, torch::kDouble)));
}

TEST(NamedTensors, StayInTheOrderInWhichTheyCame) {
  slotcon::NamedTensors tensors{{"b", torch::ones({1})}, {"a", torch::zeros({2})}};
  tensors["c"] = torch::ones({3});
  tensors["a"] = torch::ones({4});
  std::string order;
  for (const auto& [name, tensor] : tensors) order += name + std::to_string(tensor.numel());
  EXPECT_EQ(order, "b1a4c3");
  tensors.erase("b");
  tensors.erase("none");
  tensors.insert("b", torch::ones({5}));
  order.clear();
  for (const auto& [name, tensor] : tensors) order += name + std::to_string(tensor.numel());
  EXPECT_EQ(order, "a4c3b5");
  EXPECT_EQ(tensors.at("c").numel(), 3);
  EXPECT_EQ(tensors.find("b")->second.numel(), 5);
  EXPECT_EQ(tensors.find("none"), tensors.end());
  EXPECT_EQ(tensors.count("a"), 1U);
  EXPECT_EQ(tensors.size(), 3U);
  EXPECT_TRUE(slotcon::NamedTensors().empty());
}

TEST(NamedTensors, NameWhatIsMissingOrThereTwice) {
  slotcon::NamedTensors tensors{{"a", torch::ones({1})}};
  EXPECT_EQ(error_text<c10::ValueError>([&] { tensors.at("b"); }),
            "NamedTensors: expected a tensor 'b', found none");
  EXPECT_EQ(error_text<c10::ValueError>([&] { tensors.insert("a", torch::ones({1})); }),
            "NamedTensors: expected unique names, got 'a' twice");
}

TEST(ThreadCollectives, AddUpAndGatherInRankOrder) {
  slotcon::testing::run_group(3, [](const slotcon::CollectivesPtr& group) {
    const auto rank = group->rank();
    EXPECT_EQ(group->size(), 3);
    EXPECT_TRUE(at::equal(group->all_reduce_sum(torch::full({2}, rank + 1)), torch::full({2}, 6)));
    const auto rows = group->all_gather_rows(torch::full({rank, 2}, rank));
    ASSERT_EQ(rows.size(), 3u);
    for (std::int64_t r = 0; r < 3; ++r) {
      EXPECT_TRUE(at::equal(rows[static_cast<std::size_t>(r)], torch::full({r, 2}, r)));
    }
  });
}
