#include <gtest/gtest.h>
#include <slotcon/train/adamw.h>

#include <cmath>
#include <sstream>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/tolerance.h"

namespace {

using slotcon::AdamW;
using slotcon::testing::close;
using torch::optim::AdamWOptions;
using Tensors = std::vector<torch::Tensor>;

AdamWOptions options() { return AdamWOptions(0.03).betas({0.8, 0.9}).eps(1e-6).weight_decay(0.2); }

/// Parameters of several ranks and layouts; one is of another type, one has no gradient.
Tensors parameters() {
  torch::manual_seed(7);
  Tensors all{torch::randn({5}),
              torch::randn({3, 4}),
              torch::randn({}),
              torch::randn({2, 3, 4, 5}).contiguous(torch::MemoryFormat::ChannelsLast),
              torch::randn({1000}, torch::kDouble),
              torch::randn({40, 30}).t(),
              torch::randn({2})};
  for (auto& parameter : all) parameter.requires_grad_();
  return all;
}

/// Gradients of a step; the last parameter has none.
void set_gradients(const Tensors& all, std::int64_t step) {
  torch::manual_seed(100 + step);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    all[i].mutable_grad() = torch::randn(all[i].sizes(), all[i].options().requires_grad(false));
  }
}

template <class Optimizer>
Tensors after_steps(const AdamWOptions& numbers, std::int64_t steps) {
  auto all = parameters();
  Optimizer optimizer(all, numbers);
  for (std::int64_t step = 0; step < steps; ++step) {
    set_gradients(all, step);
    if (step == 2) all[1].mutable_grad().reset();  // from here on it is a step behind
    optimizer.step();
  }
  return all;
}

void expect_close(const Tensors& actual, const Tensors& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_TRUE(close(actual[i], expected[i])) << i;
}

}  // namespace

TEST(AdamW, TakesTheStepsOfItsFormula) {
  auto p = torch::tensor({2.0, -3.0}, torch::kDouble).requires_grad_();
  AdamW optimizer({p}, options());
  double value = 2, mean = 0, square = 0;
  for (int t = 1; t <= 4; ++t) {
    const double g = 0.5 * t - 1;
    p.mutable_grad() = torch::full({2}, g, torch::kDouble);
    optimizer.step();
    mean = 0.8 * mean + 0.2 * g;
    square = 0.9 * square + 0.1 * g * g;
    value *= 1 - 0.03 * 0.2;
    value -=
        0.03 * mean / (1 - std::pow(0.8, t)) / (std::sqrt(square / (1 - std::pow(0.9, t))) + 1e-6);
    EXPECT_NEAR(p[0].item<double>(), value, 1e-12) << t;
  }
}

TEST(AdamW, EqualsThatOfLibTorch) {
  for (const bool amsgrad : {false, true}) {
    const auto numbers = options().amsgrad(amsgrad);
    expect_close(after_steps<AdamW>(numbers, 6), after_steps<torch::optim::AdamW>(numbers, 6));
  }
}

TEST(AdamW, LeavesParametersWithoutGradientAlone) {
  const auto all = after_steps<AdamW>(options(), 3);
  EXPECT_TRUE(torch::equal(all.back(), parameters().back()));
}

TEST(AdamW, TakesGradientsInAnyLayout) {
  auto p = torch::arange(24.0).view({1, 2, 3, 4}).contiguous(torch::MemoryFormat::ChannelsLast);
  auto twin = p.contiguous();
  const auto gradient = torch::randn({1, 2, 3, 4});
  for (auto* parameter : {&p, &twin}) {
    parameter->requires_grad_().mutable_grad() = gradient;
    AdamW({*parameter}, options()).step();
  }
  EXPECT_TRUE(torch::equal(p, twin));
}

TEST(AdamW, GoesOnExactlyFromTheSavedStateOfEither) {
  const auto all = parameters();
  AdamW optimizer(all, options());
  for (std::int64_t step = 0; step < 3; ++step) {
    set_gradients(all, step);
    optimizer.step();
  }
  std::stringstream file;
  torch::serialize::OutputArchive out;
  optimizer.save(out);
  out.save_to(file);

  Tensors copies, twins;
  for (const auto& parameter : all) {
    copies.push_back(parameter.detach().clone().requires_grad_());
    twins.push_back(parameter.detach().clone().requires_grad_());
  }
  AdamW same(copies, AdamWOptions(99));
  torch::optim::AdamW other(twins, AdamWOptions(99));
  for (torch::optim::Optimizer* restored : {static_cast<torch::optim::Optimizer*>(&same),
                                            static_cast<torch::optim::Optimizer*>(&other)}) {
    std::stringstream from(file.str());
    torch::serialize::InputArchive in;
    in.load_from(from);
    restored->load(in);
  }
  for (const auto* parameters : {&all, &std::as_const(copies), &std::as_const(twins)}) {
    set_gradients(*parameters, 3);
  }
  optimizer.step();
  same.step();
  other.step();
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(torch::equal(all[i], copies[i])) << i;
  expect_close(twins, all);
}

TEST(AdamW, RunsAClosureWithGradient) {
  const auto p = torch::ones({3}).requires_grad_();
  AdamW optimizer({p}, AdamWOptions(0.1));
  const torch::NoGradGuard no_grad;
  const auto loss = optimizer.step([&] {
    auto sum = p.sum();
    sum.backward();
    return sum;
  });
  EXPECT_EQ(loss.item<float>(), 3);
  EXPECT_LT(p[0].item<float>(), 1);
}

TEST(AdamW, RefusesWhatItCannotTake) {
  const auto strided = torch::zeros({4, 6}).slice(1, 0, 6, 2).requires_grad_();
  EXPECT_EQ(error_text<c10::ValueError>([&] { AdamW({strided}, options()); }),
            "AdamW: expected parameters that are dense in memory, got sizes [4, 3] with strides "
            "[6, 2]");
  const auto p = torch::zeros({4, 6}).requires_grad_();
  p.mutable_grad() = torch::eye(4).narrow(1, 0, 4).matmul(torch::ones({4, 6})).to_sparse();
  AdamW optimizer({p}, options());
  EXPECT_EQ(error_text<c10::Error>([&] { optimizer.step(); }),
            "AdamW does not support sparse gradients");
}
