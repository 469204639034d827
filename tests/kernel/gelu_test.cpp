// The GELU of the kernels and its derivative, by way of a batch norm that changes nothing.
#include <gtest/gtest.h>
#include <slotcon/kernel/cpu/channel_rows.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "tests/kernel/fused.h"
#include "tests/support/tolerance.h"

namespace slotcon::kernel::cpu {

auto selected_gelu() { return SLOTCON_SIMD_SELECT(normalise<Element::kFloat, Activation::kGelu>); }

auto selected_slope() {
  return SLOTCON_SIMD_SELECT(normalise_gradient<Element::kFloat, Activation::kGelu>);
}

}  // namespace slotcon::kernel::cpu

namespace cpu = slotcon::kernel::cpu;
using slotcon::testing::within;

namespace {

constexpr std::int64_t kChannels = 100;  // whole vectors and a tail, of every width

cpu::RowsShape shape_of(const torch::Tensor& rows) { return {rows.size(0), kChannels}; }

torch::Tensor gelu_of(const torch::Tensor& x) {
  const auto zeros = at::zeros({kChannels}), ones = at::ones({kChannels});
  auto y = at::empty_like(x);
  cpu::selected_gelu()({x.const_data_ptr(), nullptr, y.data_ptr(), zeros.const_data_ptr<float>(),
                        ones.const_data_ptr<float>(), zeros.const_data_ptr<float>()},
                       shape_of(x));
  return y;
}

torch::Tensor slope_of(const torch::Tensor& x) {
  const auto zeros = at::zeros({kChannels}), ones = at::ones({kChannels});
  const auto by_y = at::ones_like(x);
  auto by_x = at::empty_like(x);
  const auto* const zero = zeros.const_data_ptr<float>();
  cpu::selected_slope()({by_y.const_data_ptr(), x.const_data_ptr(), nullptr, by_x.data_ptr(),
                         nullptr, zero, ones.const_data_ptr<float>(), zero, zero, zero},
                        shape_of(x));
  return by_x;
}

torch::Tensor distribution(const torch::Tensor& x) {
  return 0.5 * at::erfc(-x.to(at::kDouble) / std::sqrt(2.0));
}

class Gelu : public testing::TestWithParam<cpu::InstructionSet> {
  const slotcon::testing::Forced forced_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(All, Gelu, testing::ValuesIn(slotcon::testing::instruction_sets()));

}  // namespace

TEST_P(Gelu, IsItsFormulaInFloat32) {
  const auto x = torch::linspace(-8, 8, 200 * kChannels).view({-1, kChannels});
  const auto exact = x.to(at::kDouble) * distribution(x);
  const auto magnitude = x.abs().clamp_min(1);
  EXPECT_TRUE(within(gelu_of(x) / magnitude, exact / magnitude, 2.5e-7));
}

TEST_P(Gelu, HasTheSlopeOfItsFormula) {
  const auto x = torch::linspace(-8, 8, 200 * kChannels).view({-1, kChannels});
  const auto density = at::exp(-0.5 * x.to(at::kDouble).square()) / std::sqrt(2 * M_PI);
  EXPECT_TRUE(within(slope_of(x), distribution(x) + x.to(at::kDouble) * density, 4e-7));
}

TEST_P(Gelu, IsARampFarFromZero) {
  auto x = at::full({1, kChannels}, 5.7);
  x[0][1] = 1e3;
  x[0][99] = 3e38;
  EXPECT_TRUE(at::equal(gelu_of(x), x));
  EXPECT_TRUE(at::equal(slope_of(x), at::ones_like(x)));
  EXPECT_TRUE(at::equal(gelu_of(-x), at::zeros_like(x)));
  EXPECT_TRUE(at::equal(slope_of(-x), at::zeros_like(x)));
}

TEST_P(Gelu, OfInfinityIsThatOfLibTorch) {
  const auto infinity = at::full({1, kChannels}, std::numeric_limits<float>::infinity());
  EXPECT_TRUE(at::equal(gelu_of(infinity), infinity));
  EXPECT_TRUE(at::gelu(-infinity).isnan().all().item<bool>());
  EXPECT_TRUE(gelu_of(-infinity).isnan().all().item<bool>());
}

TEST_P(Gelu, KeepsNaN) {
  const auto x = at::full({1, kChannels}, std::nanf(""));
  EXPECT_TRUE(gelu_of(x).isnan().all().item<bool>());
  EXPECT_TRUE(slope_of(x).isnan().all().item<bool>());
}
