// Cases of semantic grouping and what is right for them, for the CUDA kernels on a GPU and
// emulated.
#pragma once

#include <gtest/gtest.h>
#include <slotcon/kernel/semantic_grouping/cuda.h>
#include <slotcon/kernel/semantic_grouping/reference.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

#include "tests/cuda/arithmetic.h"
#include "tests/kernel/fused.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tf32.h"
#include "tests/support/tolerance.h"

namespace slotcon::testing::semantic_grouping {

namespace grouping = kernel::semantic_grouping;

constexpr std::array<at::ScalarType, 3> kTypes{at::kFloat, at::kBFloat16, at::kHalf};

/// What computes a case: a plan with an arithmetic that it has.
struct Way {
  grouping::CudaPlan plan;
  Arithmetic arithmetic;
};

constexpr std::array<Way, 3> kProductWays{{{grouping::CudaPlan::kProducts, Arithmetic::kFloat32},
                                           {grouping::CudaPlan::kProducts, Arithmetic::kBFloat16},
                                           {grouping::CudaPlan::kProducts, Arithmetic::kFloat16}}};
constexpr std::array<Way, 3> kTileWays{{{grouping::CudaPlan::kTiles, Arithmetic::kTf32},
                                        {grouping::CudaPlan::kTiles, Arithmetic::kBFloat16},
                                        {grouping::CudaPlan::kTiles, Arithmetic::kFloat16}}};
constexpr std::array<Way, 6> kWays{
    {kProductWays[0], kProductWays[1], kProductWays[2], kTileWays[0], kTileWays[1], kTileWays[2]}};

inline std::ostream& operator<<(std::ostream& out, const Way& way) {
  return out << way.plan << " in " << name_of(way.arithmetic);
}

struct Sizes {
  std::int64_t images, slots, dims, positions;
};

inline std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "B " << sizes.images << " K " << sizes.slots << " D " << sizes.dims << " N "
             << sizes.positions;
}

/// The arguments of a call and of its backward pass, in numbers that every type of the test has; an
/// undefined gradient is not passed on.
struct Case {
  explicit Case(const Sizes& s, at::ScalarType type = at::kFloat)
      : Case(s, Way{grouping::CudaPlan::kProducts, arithmetic_of(type)}) {}

  explicit Case(const Sizes& s, const Way& w)
      : way(w),
        type(type_of(w.arithmetic)),
        features(numbers({s.images, s.dims, s.positions}, 1)),
        prototypes(numbers({s.slots, s.dims}, 2)),
        grad_slots(numbers({s.images, s.slots, s.dims}, 3)),
        grad_scores(numbers({s.images, s.slots, s.positions}, 4)) {}

  torch::Tensor numbers(at::IntArrayRef sizes, std::uint64_t seed) const {
    return noise(sizes, seed).to(type).to(at::kFloat);
  }

  Way way;
  at::ScalarType type;
  torch::Tensor features, prototypes, grad_slots, grad_scores;
  double temperature = 0.07, eps = 1e-6;
};

/// What a pass forward and backward gives, in this order; presence is that of its own scores.
using Results = std::vector<torch::Tensor>;
constexpr const char* kNames[] = {"slots", "scores", "gradient of features",
                                  "gradient of prototypes", "presence"};

inline Results reference(const Case& c, at::ScalarType type) {
  const auto features = c.features.detach().to(type).requires_grad_();
  const auto prototypes = c.prototypes.detach().to(type).requires_grad_();
  const auto [slots, scores, present] =
      grouping::reference(features, prototypes, c.temperature, c.eps);
  Results outputs, incoming;
  if (c.grad_slots.defined()) {
    outputs.push_back(slots);
    incoming.push_back(c.grad_slots.to(type));
  }
  if (c.grad_scores.defined()) {
    outputs.push_back(scores);
    incoming.push_back(c.grad_scores.to(type));
  }
  const auto gradients = torch::autograd::grad(outputs, {features, prototypes}, incoming);
  return {slots.detach(), scores.detach(), gradients[0], gradients[1]};
}

/// Forces a plan for the life of the object.
class Forced {
 public:
  explicit Forced(grouping::CudaPlan plan) { grouping::force_cuda_plan(plan); }
  ~Forced() { grouping::force_cuda_plan(std::nullopt); }
  Forced(const Forced&) = delete;
  Forced& operator=(const Forced&) = delete;
};

/// What the kernels give, on a device: a GPU, or the CPU where they are emulated.
inline Results fused(const Case& c, c10::Device device, grouping::Wanted wanted = {true, true}) {
  const Tf32Allowed allowed(c.way.arithmetic == Arithmetic::kTf32);
  const Forced forced(c.way.plan);
  const auto features = c.features.to(device, c.type);
  const auto prototypes = c.prototypes.to(device);
  const auto forward = grouping::cuda_forward(features, prototypes, c.temperature, c.eps);
  grouping::Incoming incoming;
  if (c.grad_slots.defined()) incoming.slots = c.grad_slots.to(device, c.type);
  if (c.grad_scores.defined()) incoming.scores = c.grad_scores.to(device);
  const auto [grad_features, grad_prototypes] = grouping::cuda_backward(
      features, prototypes, forward, incoming, c.temperature, c.eps, wanted);
  return {forward.slots, forward.scores, grad_features, grad_prototypes, forward.present};
}

inline double largest(const torch::Tensor& values) {
  return values.numel() == 0 ? 0 : values.abs().max().item<double>();
}

/// A case and what is right for it.
class Judge {
 public:
  explicit Judge(const Case& c)
      : case_(c),
        exact_(reference(c, at::kDouble)),
        reference_(reference(c, type_to_judge_by(c.way.arithmetic))) {
    for (std::size_t i = 0; i < exact_.size(); ++i) {  // float16 overflows: then there is no excuse
      if (!reference_[i].isfinite().all().item<bool>()) reference_[i] = exact_[i];
    }
  }

  /// The errors against float64 are at most twice those of the reference in the same type, beside a
  /// rounding of the result, and of the terms it sums, where the reference happens to make none.
  ::testing::AssertionResult as_exact_as_the_reference(const Results& results) const {
    for (std::size_t i = 0; i < exact_.size(); ++i) {
      const auto result =
          as_accurate(results[i].cpu().to(at::kFloat), reference_[i], exact_[i], 2, scale_of(i));
      if (!result) return ::testing::AssertionFailure() << kNames[i] << ": " << result.message();
    }
    if (!at::equal(results[4], grouping::present(results[1]))) {
      return ::testing::AssertionFailure() << "presence";
    }
    return ::testing::AssertionSuccess();
  }

 private:
  /// In units of as_accurate(), of which float32 has one a rounding. Gradients of half types have
  /// four: of the slopes and weights that are multiplied, of the products' sum, of the result.
  double scale_of(std::size_t i) const {
    const auto type = type_to_judge_by(case_.way.arithmetic);
    const bool half = type != at::kFloat;
    const double unit = half ? tolerance(type) / 2e-7 : 1;
    if (i == 0) return unit * largest(case_.features);
    if (i == 1) return unit;
    return unit * (half ? 4 : 1) * (largest(exact_[i]) + largest_term());
  }

  /// The largest term that a gradient is a difference of: with one channel, say, all of the scores'
  /// gradient cancels, and with one position all of the slots'.
  double largest_term() const {
    if (case_.features.numel() == 0) return 0;
    const auto norms = case_.prototypes.norm(2, {1}).clamp_min(1e-3);
    double term = 0;
    if (case_.grad_scores.defined()) {
      const auto terms = case_.grad_scores.abs();
      term += largest(terms.sum(1) / case_.features.norm(2, {1}).clamp_min(1e-3));
      term += largest(terms.sum(2).sum(0) / norms);
    }
    if (case_.grad_slots.defined()) {
      const auto slopes = case_.grad_slots.norm(2, {2}) / case_.temperature;
      term += largest(slopes) / static_cast<double>(case_.features.size(2));
    }
    return term;
  }

  Case case_;
  Results exact_, reference_;
};

}  // namespace slotcon::testing::semantic_grouping
