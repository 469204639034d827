// How near a result must come to what is expected: the one table of the tests, and autocast to test
// under.
#pragma once

#include <c10/util/Exception.h>
#include <gtest/gtest.h>
#include <slotcon/core/autocast.h>
#include <torch/types.h>

namespace slotcon::testing {

/// The largest error of a result of this type, as a fraction of the largest magnitude expected. The
/// half types are rounded once, at the end (2^-11 and 2^-8); the others have some digits for
/// reductions and exp.
inline double tolerance(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return 1e-12;
    case at::kFloat:
      return 1e-5;
    case at::kHalf:
      return 5e-4;
    case at::kBFloat16:
      return 4e-3;
    default:
      TORCH_CHECK_TYPE(false, "tolerance: expected a floating dtype, got ", type);
  }
}

/// Central differences in float64: the step, and the largest error of a gradient as a fraction of
/// its largest magnitude and, for what cancels, of what the function sums.
constexpr double kDifferenceStep = 1e-6;
constexpr double kDifferenceTolerance = 1e-6;
constexpr double kDifferenceNoise = 1e-9;

/// Whether |actual - expected| <= bound everywhere, which no NaN is; the shapes agree.
inline ::testing::AssertionResult within(const torch::Tensor& actual, const torch::Tensor& expected,
                                         double bound) {
  if (!actual.defined()) return ::testing::AssertionFailure() << "the result is undefined";
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure()
           << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  if (actual.numel() == 0) return ::testing::AssertionSuccess();
  const auto got = actual.detach().to(at::kDouble).flatten();
  const auto wanted = expected.detach().to(at::kDouble).flatten();
  const auto [error, place] = (got - wanted).abs().max(0);
  if (error.item<double>() <= bound) return ::testing::AssertionSuccess();
  const auto i = place.item<std::int64_t>();
  return ::testing::AssertionFailure()
         << "element " << i << " of " << actual.sizes() << " is " << got[i].item<double>()
         << ", expected " << wanted[i].item<double>() << " within " << bound;
}

/// Whether `actual` is `expected` up to the tolerance of its own type.
inline ::testing::AssertionResult close(const torch::Tensor& actual,
                                        const torch::Tensor& expected) {
  if (!actual.defined()) return ::testing::AssertionFailure() << "the result is undefined";
  const auto scale =
      expected.numel() == 0 ? 0 : expected.detach().to(at::kDouble).abs().max().item<double>();
  return within(actual, expected, tolerance(actual.scalar_type()) * scale);
}

/// bfloat16 autocast on CPU for the life of the object.
class Autocast : public slotcon::Autocast {
 public:
  Autocast() : slotcon::Autocast(at::kCPU, at::kBFloat16) {}
};

}  // namespace slotcon::testing
