// Cases of slot InfoNCE and what is right for them, for the CUDA kernels on a GPU and emulated.
#pragma once

#include <gtest/gtest.h>
#include <slotcon/kernel/slot_info_nce/cuda.h>
#include <slotcon/kernel/slot_info_nce/reference.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <ostream>

#include "tests/cuda/arithmetic.h"
#include "tests/kernel/fused.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tf32.h"
#include "tests/support/tolerance.h"

namespace slotcon::testing::slot_info_nce {

namespace contrast = kernel::slot_info_nce;
using testing::Arithmetic;

constexpr std::array<Arithmetic, 4> kArithmetics{Arithmetic::kFloat32, Arithmetic::kTf32,
                                                 Arithmetic::kBFloat16, Arithmetic::kFloat16};

struct Sizes {
  std::int64_t queries, keys, dims;
};

inline std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "n " << sizes.queries << " m " << sizes.keys << " D " << sizes.dims;
}

/// The arguments of a call, in numbers that the type of the arithmetic has: queries near their
/// positives.
struct Case {
  explicit Case(const Sizes& s, Arithmetic a = Arithmetic::kFloat32)
      : arithmetic(a),
        keys(3 * noise({s.keys, s.dims}, 2)),
        positive(at::randint(s.keys, {s.queries}, at::make_generator<at::CPUGeneratorImpl>(3),
                             at::kLong)) {
    queries = keys.index_select(0, positive) + 2 * noise({s.queries, s.dims}, 1);
    queries = queries.to(type_of(a)).to(at::kFloat);
    keys = keys.to(type_of(a)).to(at::kFloat);
  }

  Arithmetic arithmetic;
  torch::Tensor queries, keys, positive;
  double temperature = 0.2;
  std::int64_t spare = 0;  // capacity beyond the count; without any, no count is given
};

struct Results {
  torch::Tensor loss, by_queries, by_keys;
};

inline bool equal(const Results& a, const Results& b) {
  return at::equal(a.loss, b.loss) && at::equal(a.by_queries, b.by_queries) &&
         at::equal(a.by_keys, b.by_keys);
}

inline Results reference(const Case& c, at::ScalarType type) {
  const auto queries = c.queries.detach().to(type).requires_grad_();
  const auto keys = c.keys.detach().to(type).requires_grad_();
  const auto loss = contrast::reference(queries, keys, c.positive, c.temperature);
  const auto gradients = torch::autograd::grad({loss}, {queries, keys});
  return {loss.detach(), gradients[0], gradients[1]};
}

/// What the kernels give, on a device: a GPU, or the CPU where they are emulated. What lies beyond
/// the counts is not a number, and no place.
inline Results fused(const Case& c, c10::Device device) {
  const auto with_spare = [&](const torch::Tensor& values, const c10::Scalar& filler) {
    if (c.spare == 0) return values.to(device);
    auto sizes = values.sizes().vec();
    sizes[0] = c.spare;
    return at::cat({values, at::full(sizes, filler, values.options())}).to(device);
  };
  const auto rows = [&](const torch::Tensor& vectors) {
    const auto count =
        c.spare == 0 ? torch::Tensor()
                     : at::full({1}, vectors.size(0), at::TensorOptions(device).dtype(at::kLong));
    return contrast::CudaRows{with_spare(vectors.to(type_of(c.arithmetic)), std::nan("")), count};
  };
  const Tf32Allowed allowed(c.arithmetic == Arithmetic::kTf32);
  const auto queries = rows(c.queries), keys = rows(c.keys);
  const auto positive = with_spare(c.positive, std::int64_t{1} << 40);
  const auto forward = contrast::cuda_forward(queries, keys, positive, c.temperature, true);
  return {forward.loss, forward.by_queries,
          contrast::cuda_gradient_by_keys(queries, keys, positive, forward, c.temperature)};
}

/// A case and what is right for it.
class Judge {
 public:
  explicit Judge(const Case& c)
      : case_(c),
        exact_(reference(c, at::kDouble)),
        reference_(reference(c, type_to_judge_by(c.arithmetic))) {}

  /// The errors against float64 are at most twice those of the reference in the same type, beside a
  /// few roundings of the terms that are summed where the reference happens to make none. Beyond
  /// the counts gradients are 0.
  ::testing::AssertionResult as_exact_as_the_reference(const Results& results) const {
    const auto loss =
        judge(results.loss, reference_.loss, exact_.loss, 1 + std::abs(exact_.loss.item<double>()));
    if (!loss) return ::testing::AssertionFailure() << "loss: " << loss.message();
    const auto by_queries =
        judge_rows(results.by_queries, reference_.by_queries, exact_.by_queries, case_.queries);
    if (!by_queries) return ::testing::AssertionFailure() << "queries: " << by_queries.message();
    const auto by_keys =
        judge_rows(results.by_keys, reference_.by_keys, exact_.by_keys, case_.keys);
    if (!by_keys) return ::testing::AssertionFailure() << "keys: " << by_keys.message();
    return ::testing::AssertionSuccess();
  }

 private:
  ::testing::AssertionResult judge(const torch::Tensor& result, const torch::Tensor& expected,
                                   const torch::Tensor& exact, double scale) const {
    const auto type = type_to_judge_by(case_.arithmetic);
    const double unit = type == at::kFloat ? 1 : tolerance(type) / 2e-7;
    return as_accurate(result.cpu(), expected, exact, 2, unit * scale);
  }

  /// A gradient is a difference of unit rows, times 2 / n, over the length of the row that it is
  /// of.
  ::testing::AssertionResult judge_rows(const torch::Tensor& result, const torch::Tensor& expected,
                                        const torch::Tensor& exact,
                                        const torch::Tensor& vectors) const {
    const auto count = vectors.size(0);
    const auto shortest = vectors.norm(2, {1}).min().item<double>();
    const auto within = judge(result.slice(0, 0, count), expected, exact,
                              2 / static_cast<double>(case_.queries.size(0)) / shortest);
    if (!within) return within;
    const auto beyond = result.slice(0, count);
    if (beyond.size(0) == case_.spare && beyond.eq(0).all().item<bool>()) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "beyond the count it is not 0";
  }

  Case case_;
  Results exact_, reference_;
};

}  // namespace slotcon::testing::slot_info_nce
