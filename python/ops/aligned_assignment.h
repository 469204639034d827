// The operators of the cross entropy between the assignments of two views, brought into register.
#pragma once

#include <python/ops/operators.h>
#include <python/ops/score_loss.h>
#include <slotcon/core/precision.h>
#include <slotcon/core/two_views.h>
#include <slotcon/loss/aligned_assignment.h>
#include <torch/types.h>

namespace slotcon::ops {

inline ScoreLoss aligned_assignment_cross_entropy_forward(
    const Tensor& student_scores, const Tensor& teacher_scores, const Tensor& student_boxes,
    const Tensor& student_flipped, const Tensor& teacher_boxes, const Tensor& teacher_flipped,
    const Tensor& center, double student_temperature, double teacher_temperature,
    bool with_gradient) {
  constexpr auto who = "aligned_assignment_cross_entropy";
  namespace distillation = kernel::aligned_assignment;
  const ViewGeometry student_view{student_boxes, student_flipped};
  const ViewGeometry teacher_view{teacher_boxes, teacher_flipped};
  const auto options = AssignmentOptions()
                           .student_temperature(student_temperature)
                           .teacher_temperature(teacher_temperature);
  slotcon::detail::check_distillation(student_scores, teacher_scores, student_view, teacher_view,
                                      center, options, who);
  const auto type = compute_type(student_scores.scalar_type(), who);
  const AutocastOff precise;
  if (student_scores.numel() == 0 ||
      !is_fused(student_scores, distillation::choose(student_scores), who)) {
    return score_loss_by_autograd(student_scores, type, with_gradient, [&](const Tensor& leaf) {
      return functional::aligned_assignment_cross_entropy(leaf, teacher_scores, student_view,
                                                          teacher_view, center, options);
    });
  }
  const auto distill =
      student_scores.is_cuda() ? &distillation::cuda_distill : &distillation::cpu_distill;
  return score_loss(student_scores,
                    distill({student_scores.to(type), student_boxes.to(type), student_flipped},
                            {teacher_scores.to(type), teacher_boxes.to(type), teacher_flipped},
                            center.to(type).flatten(), {student_temperature, teacher_temperature},
                            with_gradient));
}

/// `functional::aligned_assignment_cross_entropy`.
inline Tensor aligned_assignment_cross_entropy(
    const Tensor& student_scores, const Tensor& teacher_scores, const Tensor& student_boxes,
    const Tensor& student_flipped, const Tensor& teacher_boxes, const Tensor& teacher_flipped,
    const Tensor& center, double student_temperature, double teacher_temperature) {
  static const auto forward = find_operator("slotcon::aligned_assignment_cross_entropy_forward",
                                            &aligned_assignment_cross_entropy_forward);
  return differentiable(
      student_scores, "aligned_assignment_cross_entropy", [&](bool with_gradient) {
        return forward.call(student_scores, teacher_scores, student_boxes, student_flipped,
                            teacher_boxes, teacher_flipped, center, student_temperature,
                            teacher_temperature, with_gradient);
      });
}

}  // namespace slotcon::ops
