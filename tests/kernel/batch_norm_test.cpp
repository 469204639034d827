#include <gtest/gtest.h>
#include <slotcon/kernel/batch_norm/dispatch.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tolerance.h"

using slotcon::kernel::Activation;
using slotcon::kernel::batch_norm::choose;
using slotcon::kernel::batch_norm::fused;
using slotcon::kernel::batch_norm::Norm;
using slotcon::kernel::batch_norm::reference;
using slotcon::testing::as_accurate;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::Forced;
using slotcon::testing::instruction_sets;
using slotcon::testing::Tensors;
using slotcon::testing::Threads;

namespace {

constexpr double kEps = 1e-5, kMomentum = 0.1;

constexpr auto kActivations = {Activation::kRelu, Activation::kAddRelu, Activation::kGelu};

/// What one call takes; the residual undefined for none.
struct Problem {
  Activation activation;
  torch::Tensor x, residual, weight, bias, incoming;

  Problem to(at::ScalarType maps, at::ScalarType parameters) const {
    const auto converted = [](const torch::Tensor& tensor, at::ScalarType type) {
      return tensor.defined() ? tensor.to(type) : tensor;
    };
    return {
        activation,          converted(x, maps), converted(residual, maps), weight.to(parameters),
        bias.to(parameters), incoming.to(maps)};
  }
};

/// Of rows [N,C] or of maps that are channels last.
Problem problem(at::IntArrayRef sizes, Activation activation) {
  const auto layout =
      sizes.size() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
  const auto maps = [&](std::uint64_t seed) { return floats(sizes, seed).contiguous(layout); };
  return {activation,
          2 * maps(1) + 0.5,
          activation == Activation::kAddRelu ? maps(2) : torch::Tensor(),
          1 + 0.3 * floats({sizes[1]}, 3),
          0.3 * floats({sizes[1]}, 4),
          maps(5)};
}

/// Result, gradients (by x, weight, bias and, if there is one, the residual), running statistics.
template <class Implementation>
Tensors everything(const Problem& p, const Implementation& implementation) {
  Tensors inputs{p.x, p.weight, p.bias};
  if (p.residual.defined()) inputs.push_back(p.residual);
  for (auto& input : inputs) input = input.detach().clone().requires_grad_();
  const Norm norm{inputs[1], inputs[2], at::zeros_like(p.weight), at::ones_like(p.weight),
                  kMomentum, kEps};
  const auto y = implementation(inputs[0], p.residual.defined() ? inputs[3] : torch::Tensor(), norm,
                                p.activation);
  Tensors all{y.detach()};
  for (const auto& gradient : torch::autograd::grad({y}, inputs, {p.incoming}))
    all.push_back(gradient);
  all.push_back(norm.running_mean);
  all.push_back(norm.running_var);
  return all;
}

const std::vector<std::string> kNames{"y", "by x", "by weight", "by bias", "4", "5", "6"};

/// Shapes with tails of every vector, one block and several, few rows and many, rows that are taken
/// together, up to 64 of them, and rows that cannot be.
const std::vector<std::vector<std::int64_t>> kSizes{
    {2, 1, 1, 1},  {3, 3, 2, 5},  {4, 15, 7, 3},   {2, 16, 4, 4},   {3, 24, 32, 31}, {2, 65, 9, 8},
    {2, 96, 8, 8}, {1, 64, 1, 3}, {2, 130, 12, 5}, {1, 515, 6, 11}, {5, 2, 61, 67},  {2, 3, 96, 96},
    {7, 24, 3, 3}, {210, 256},    {3, 7},          {96, 40}};

}  // namespace

TEST(BatchNormActivation, IsAsAccurateAsTheReference) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto& sizes : kSizes) {
      for (const auto activation : kActivations) {
        SCOPED_TRACE(testing::Message()
                     << "set " << static_cast<int>(set) << ", sizes " << at::IntArrayRef(sizes)
                     << ", activation " << static_cast<int>(activation));
        const auto p = problem(sizes, activation);
        const auto exact = everything(p.to(at::kDouble, at::kDouble), reference);
        const auto plain = everything(p, reference), ours = everything(p, fused);
        ASSERT_EQ(ours.size(), exact.size());
        for (std::size_t i = 0; i < ours.size(); ++i) {
          const auto scale = exact[i].abs().max().item<double>() + (i > 0 && i < 5 ? 8 : 1);
          EXPECT_TRUE(as_accurate(ours[i], plain[i], exact[i], 2, scale)) << kNames[i];
        }
        EXPECT_EQ(ours[0].strides(), p.x.strides());
      }
    }
  }
}

TEST(BatchNormActivation, RoundsHalfTypesOnce) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto type : {at::kBFloat16, at::kHalf}) {
      for (const auto activation : kActivations) {
        SCOPED_TRACE(testing::Message() << type << ", activation " << static_cast<int>(activation));
        const auto half = problem({3, 37, 9, 8}, activation).to(type, at::kFloat);
        const auto exact = everything(half.to(at::kDouble, at::kDouble), reference);
        const auto ours = everything(half, fused);
        for (std::size_t i = 0; i < ours.size(); ++i) {
          const bool map = i < 2 || (half.residual.defined() && i == 4);
          EXPECT_EQ(ours[i].scalar_type(), map ? type : at::kFloat) << kNames[i];
          EXPECT_TRUE(close(ours[i], exact[i].to(ours[i].scalar_type()))) << kNames[i];
        }
      }
    }
  }
}

TEST(BatchNormActivation, KnowsTheVarianceOfValuesFarFromZero) {
  // Mean square less squared mean would have an error of 3000^2 2^-24, a tenth of the variance.
  auto p = problem({4, 20, 16, 16}, Activation::kRelu);
  p.x = p.x + 3000;
  const auto exact = everything(p.to(at::kDouble, at::kDouble), reference);
  const auto ours = everything(p, fused);
  EXPECT_LT((ours.back().to(at::kDouble) / exact.back() - 1).abs().max().item<double>(), 1e-5);
}

TEST(BatchNormActivation, PassesNaNOnAndGradientsOfZeroNot) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto activation : kActivations) {
      auto p = problem({2, 17, 3, 3}, activation);
      p.x.index_put_({1, 4, 2, 0}, std::numeric_limits<float>::quiet_NaN());
      const auto y = everything(p, fused)[0];
      EXPECT_TRUE(y.select(1, 4).isnan().all().item<bool>());
      EXPECT_EQ(y.isnan().sum().item<std::int64_t>(), 2 * 3 * 3);
    }
    auto dead = problem({2, 17, 3, 3}, Activation::kAddRelu);
    dead.residual.fill_(-100);
    for (const std::size_t i : {0, 1, 2, 3, 4}) {
      EXPECT_EQ(everything(dead, fused)[i].abs().max().item<double>(), 0) << kNames[i];
    }
  }
}

TEST(BatchNormActivation, IsTheSameOnAnyNumberOfThreads) {
  const auto p = problem({5, 24, 40, 41}, Activation::kAddRelu);
  const auto on = [&](int threads) {
    const Threads guard(threads);
    return everything(p, fused);
  };
  const auto one = on(1);
  for (const int threads : {2, 3, 7}) {
    const auto several = on(threads);
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].equal(several[i])) << i;
  }
}

TEST(BatchNormActivation, TakesGradientsInAnyLayout) {
  auto p = problem({2, 6, 4, 5}, Activation::kAddRelu);
  const auto expected = everything(p, fused);
  p.incoming = p.incoming.contiguous();
  const auto ours = everything(p, fused);
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(ours[i].equal(expected[i])) << i;
}

TEST(BatchNormActivation, IsDifferentiableOnce) {
  const auto p = problem({2, 6, 4, 5}, Activation::kRelu);
  const auto x = p.x.clone().requires_grad_();
  const Norm norm{p.weight,  p.bias, at::zeros_like(p.weight), at::ones_like(p.weight),
                  kMomentum, kEps};
  const auto by_x =
      torch::autograd::grad({fused(x, {}, norm, p.activation).square().sum()}, {x}, {},
                            /*retain_graph=*/true, /*create_graph=*/true)[0];
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by_x.sum().backward(); }),
            "BatchNorm: double backward needs Backend::kReference");
}

TEST(BatchNormActivation, SaysWhereItCannotRun) {
  const auto p = problem({2, 6, 4, 5}, Activation::kAddRelu);
  const Norm norm{p.weight, p.bias, p.weight, p.weight, kMomentum, kEps};
  EXPECT_TRUE(choose(p.x, p.residual, norm).fused);
  EXPECT_TRUE(choose(p.x, {}, norm).fused);
  EXPECT_EQ(choose(p.x.to(at::kDouble), {}, norm).why_not, "no kernel for Double on cpu");
  EXPECT_EQ(choose(p.x.contiguous(), {}, norm).why_not,
            "the kernel needs rows [N,C] or channels-last maps [N,C,h,w]");
  EXPECT_EQ(choose(p.x, p.residual.contiguous(), norm).why_not,
            "the kernel needs a residual of the type, sizes and layout of x");
  EXPECT_EQ(choose(p.x, p.residual.to(at::kHalf), norm).why_not,
            "the kernel needs a residual of the type, sizes and layout of x");
  const Norm exact{norm.weight.to(at::kDouble), norm.bias, norm.weight, norm.bias, kMomentum, kEps};
  EXPECT_EQ(choose(p.x, {}, exact).why_not, "the kernel needs parameters in float32");
}
