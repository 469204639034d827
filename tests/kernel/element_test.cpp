// Conversions between float32 and the half types, against those of LibTorch, bit by bit.
#include <gtest/gtest.h>
#include <slotcon/kernel/cpu/pack.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "tests/kernel/fused.h"

namespace slotcon::kernel::cpu {

decltype(&portable::copy) selected_copy() { return SLOTCON_SIMD_SELECT(copy); }

}  // namespace slotcon::kernel::cpu

namespace cpu = slotcon::kernel::cpu;
using cpu::Element;

namespace {

struct Type {
  Element element;
  at::ScalarType scalar;
};

constexpr Type kHalfTypes[] = {{Element::kBFloat16, torch::kBFloat16},
                               {Element::kHalf, torch::kHalf}};

/// A matrix copied into another type, element by element or, with `turned`, by columns.
torch::Tensor converted(const torch::Tensor& from, Element from_element, Element to_element,
                        at::ScalarType to_type, bool turned) {
  const auto rows = from.size(0), columns = from.size(1);
  auto to = at::empty({turned ? columns : rows, turned ? rows : columns}, to_type);
  cpu::MutableMatrix target{to.data_ptr(), to.stride(0), 1, to_element};
  if (turned) target = target.transposed();
  const auto copy = cpu::selected_copy();
  copy({from.const_data_ptr(), from.stride(0), 1, from_element}, rows, columns, target);
  return turned ? to.t() : to;
}

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  const auto bits = a.element_size() == 2 ? torch::kShort : torch::kInt;
  const auto nan = a.isnan();
  return at::equal(nan, b.isnan()) && at::equal(a.contiguous().view(bits).masked_fill(nan, 0),
                                                b.contiguous().view(bits).masked_fill(nan, 0));
}

class Elements : public testing::TestWithParam<cpu::InstructionSet> {
  const slotcon::testing::Forced forced_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(All, Elements, testing::ValuesIn(slotcon::testing::instruction_sets()));

}  // namespace

TEST_P(Elements, EveryHalfBecomesItsFloat) {
  const auto bits = torch::arange(1 << 16).to(torch::kShort).view({-1, 256});
  for (const auto& type : kHalfTypes) {
    const auto halves = bits.view(type.scalar);
    for (const bool turned : {false, true}) {
      const auto floats = converted(halves, type.element, Element::kFloat, torch::kFloat, turned);
      EXPECT_TRUE(same_bits(floats, halves.to(torch::kFloat))) << type.scalar;
    }
  }
}

TEST_P(Elements, FloatsAreRoundedToTheNearestTiesToEven) {
  // every 997th float of all exponents, and what lies between two halves or at the ends
  const auto bits = torch::arange(0, 1ll << 32, 997).to(torch::kInt);
  const auto some = bits.view(torch::kFloat);
  const auto halves = torch::arange(1 << 16).to(torch::kShort);
  for (const auto& type : kHalfTypes) {
    const auto below = halves.view(type.scalar).to(torch::kFloat);
    const auto above = (halves + 1).to(torch::kShort).view(type.scalar).to(torch::kFloat);
    const auto ties = (below + above) / 2;
    const auto ends = torch::tensor({65519.0f, 65520.0f, 3.4e38f, -3.4e38f, 1e-8f, 2.98e-8f,
                                     std::numeric_limits<float>::infinity(), std::nanf("")});
    auto floats = at::cat({some, below, ties, ends});
    floats = floats.slice(0, 0, floats.size(0) / 67 * 67).view({67, -1}).contiguous();
    for (const bool turned : {false, true}) {
      const auto rounded = converted(floats, Element::kFloat, type.element, type.scalar, turned);
      EXPECT_TRUE(same_bits(rounded, floats.to(type.scalar))) << type.scalar;
    }
  }
}
