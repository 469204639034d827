// Cases of the assignment distillation and what is right for them, for the CUDA kernels on a GPU
// and emulated.
#pragma once

#include <gtest/gtest.h>
#include <slotcon/kernel/aligned_assignment/cuda.h>
#include <slotcon/kernel/aligned_assignment/reference.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <ostream>

#include "tests/kernel/fused.h"
#include "tests/support/gradcheck.h"

namespace slotcon::testing::aligned_assignment {

namespace distillation = kernel::aligned_assignment;

struct Sizes {
  std::int64_t images, prototypes, height, width;
};

inline std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "B " << sizes.images << " K " << sizes.prototypes << " H " << sizes.height << " W "
             << sizes.width;
}

/// The arguments of a call, in float32: scores as cosines, boxes of any size within the view, some
/// images mirrored.
struct Case {
  explicit Case(const Sizes& s)
      : student{scores(s, 1), boxes(s.images, 2), noise({s.images}, 3) > 0},
        teacher{scores(s, 4), boxes(s.images, 5), noise({s.images}, 6) > 0},
        center((0.1 * noise({s.prototypes}, 7)).to(at::kFloat)) {}

  distillation::View student, teacher;
  torch::Tensor center;
  distillation::Temperatures temperatures{0.1, 0.07};

 private:
  static torch::Tensor scores(const Sizes& s, std::uint64_t seed) {
    const auto values = noise({s.images, s.prototypes, s.height, s.width}, seed);
    return (0.5 * values).tanh().to(at::kFloat);
  }
  static torch::Tensor boxes(std::int64_t images, std::uint64_t seed) {
    const auto corners = at::sigmoid(noise({images, 2, 2}, seed));  // [B, corner, axis]
    return at::cat({at::amin(corners, 1), at::amax(corners, 1)}, 1).to(at::kFloat);
  }
};

struct Results {
  torch::Tensor loss, gradient;
};

inline bool equal(const Results& a, const Results& b) {
  return at::equal(a.loss, b.loss) && at::equal(a.gradient, b.gradient);
}

inline distillation::View converted(const distillation::View& view, c10::Device device,
                                    at::ScalarType type) {
  return {view.scores.to(device, type), view.boxes.to(device, type), view.flipped.to(device)};
}

inline Results reference(const Case& c, at::ScalarType type) {
  auto student = converted(c.student, at::kCPU, type);
  student.scores.detach_().requires_grad_();
  const auto loss = distillation::reference(student, converted(c.teacher, at::kCPU, type),
                                            c.center.to(type), c.temperatures);
  const auto gradient = torch::autograd::grad({loss}, {student.scores})[0];
  return {loss.detach(), gradient};
}

/// What the kernels give, on a device: a GPU, or the CPU where they are emulated.
inline Results fused(const Case& c, c10::Device device, bool with_gradient = true) {
  const auto [loss, gradient] = distillation::cuda_distill(
      converted(c.student, device, at::kFloat), converted(c.teacher, device, at::kFloat),
      c.center.to(device), c.temperatures, with_gradient);
  return {loss, gradient};
}

/// A case and what is right for it.
class Judge {
 public:
  explicit Judge(const Case& c)
      : exact_(reference(c, at::kDouble)), reference_(reference(c, at::kFloat)), term_(term(c)) {}

  /// The errors against float64 are at most twice those of the float32 reference, beside a rounding
  /// of the terms that are summed where the reference happens to make none.
  ::testing::AssertionResult as_exact_as_the_reference(const Results& results) const {
    const auto loss = as_accurate(results.loss.cpu(), reference_.loss, exact_.loss, 2,
                                  1 + exact_.loss.item<double>());
    if (!loss) return ::testing::AssertionFailure() << "loss: " << loss.message();
    const auto gradient = as_accurate(results.gradient.cpu(), reference_.gradient, exact_.gradient,
                                      2, term_ + exact_.gradient.abs().max().item<double>());
    if (!gradient) return ::testing::AssertionFailure() << "gradient: " << gradient.message();
    return ::testing::AssertionSuccess();
  }

 private:
  /// A gradient sums differences of probabilities with this factor. Scores that are larger than
  /// cosines are rounded by as much more: that is beside what the reference happens to round, which
  /// differs from one processor's matrix products to another's.
  static double term(const Case& c) {
    const auto& scores = c.student.scores;
    const auto largest =
        std::max(scores.abs().max().item<double>(), c.teacher.scores.abs().max().item<double>());
    return std::max(1.0, largest) * static_cast<double>(scores.size(1)) /
           (c.temperatures.student * static_cast<double>(scores.numel()));
  }

  Results exact_, reference_;
  double term_;
};

}  // namespace slotcon::testing::aligned_assignment
