// The operators of the cross entropies between a student's assignment and given targets or a
// teacher's.
#pragma once

#include <python/ops/operators.h>
#include <python/ops/score_loss.h>
#include <slotcon/core/precision.h>
#include <slotcon/loss/prototype_assignment.h>
#include <torch/types.h>

namespace slotcon::ops {

inline ScoreLoss soft_cross_entropy_forward(const Tensor& student_scores, const Tensor& targets,
                                            double student_temperature, bool with_gradient) {
  constexpr auto who = "soft_cross_entropy";
  namespace assignment = kernel::prototype_assignment;
  const auto options = AssignmentOptions().student_temperature(student_temperature);
  slotcon::detail::check_targets(student_scores, targets, options, who);
  const auto type = compute_type(student_scores.scalar_type(), who);
  const AutocastOff precise;
  if (student_scores.numel() == 0 || !assignment::choose(student_scores).fused) {
    return score_loss_by_autograd(student_scores, type, with_gradient, [&](const Tensor& leaf) {
      return functional::soft_cross_entropy(leaf, targets, options);
    });
  }
  return score_loss(student_scores,
                    assignment::cpu_cross_entropy(student_scores.to(type), targets.to(type),
                                                  student_temperature, with_gradient));
}

/// `functional::soft_cross_entropy`.
inline Tensor soft_cross_entropy(const Tensor& student_scores, const Tensor& targets,
                                 double student_temperature) {
  static const auto forward =
      find_operator("slotcon::soft_cross_entropy_forward", &soft_cross_entropy_forward);
  return differentiable(student_scores, "soft_cross_entropy", [&](bool with_gradient) {
    return forward.call(student_scores, targets, student_temperature, with_gradient);
  });
}

inline ScoreLoss assignment_cross_entropy_forward(const Tensor& student_scores,
                                                  const Tensor& teacher_scores,
                                                  const Tensor& center, double student_temperature,
                                                  double teacher_temperature, bool with_gradient) {
  const auto options = AssignmentOptions()
                           .student_temperature(student_temperature)
                           .teacher_temperature(teacher_temperature);
  const auto targets = functional::centered_assignment(teacher_scores, center, options);
  return soft_cross_entropy_forward(student_scores, targets, student_temperature, with_gradient);
}

/// `functional::assignment_cross_entropy`.
inline Tensor assignment_cross_entropy(const Tensor& student_scores, const Tensor& teacher_scores,
                                       const Tensor& center, double student_temperature,
                                       double teacher_temperature) {
  static const auto forward =
      find_operator("slotcon::assignment_cross_entropy_forward", &assignment_cross_entropy_forward);
  return differentiable(student_scores, "assignment_cross_entropy", [&](bool with_gradient) {
    return forward.call(student_scores, teacher_scores, center, student_temperature,
                        teacher_temperature, with_gradient);
  });
}

}  // namespace slotcon::ops
