// The assignment distillation between two views in one step: aligned, centred, sharpened, compared.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/core/precision.h>
#include <slotcon/core/two_views.h>
#include <slotcon/kernel/aligned_assignment/dispatch.h>
#include <slotcon/loss/prototype_assignment.h>
#include <torch/types.h>

namespace slotcon {

namespace detail {

inline void check_view(const torch::Tensor& scores, const ViewGeometry& view,
                       const torch::Tensor& student_scores, const char* who) {
  TORCH_CHECK_VALUE(scores.dim() == 4 && scores.size(1) > 0, who,
                    ": expected scores [B,K,H,W] with K >= 1, got ", scores.sizes());
  TORCH_CHECK_VALUE(scores.sizes() == student_scores.sizes(), who,
                    ": expected student and teacher scores of one shape, got ",
                    student_scores.sizes(), " and ", scores.sizes());
  TORCH_CHECK_VALUE(
      view.boxes.dim() == 2 && view.boxes.size(0) == scores.size(0) && view.boxes.size(1) == 4, who,
      ": expected boxes [", scores.size(0), ", 4], got ", view.boxes.sizes());
  TORCH_CHECK_VALUE(view.flipped.dim() == 1 && view.flipped.size(0) == scores.size(0), who,
                    ": expected flipped [", scores.size(0), "], got ", view.flipped.sizes());
  TORCH_CHECK_TYPE(view.flipped.scalar_type() == torch::kBool, who,
                   ": expected flipped of dtype Bool, got ", view.flipped.scalar_type());
  TORCH_CHECK_VALUE(scores.device() == student_scores.device() &&
                        view.boxes.device() == scores.device() &&
                        view.flipped.device() == scores.device(),
                    who, ": expected all tensors on ", student_scores.device(), ", got scores on ",
                    scores.device(), ", boxes on ", view.boxes.device(), " and flipped on ",
                    view.flipped.device());
}

inline void check_distillation(const torch::Tensor& student_scores,
                               const torch::Tensor& teacher_scores,
                               const ViewGeometry& student_view, const ViewGeometry& teacher_view,
                               const torch::Tensor& center, const AssignmentOptions& options,
                               const char* who) {
  check_temperatures(options, who);
  check_view(student_scores, student_view, student_scores, who);
  check_view(teacher_scores, teacher_view, student_scores, who);
  TORCH_CHECK_VALUE(
      center.dim() == 2 && center.size(0) == 1 && center.size(1) == student_scores.size(1), who,
      ": expected center [1, ", student_scores.size(1), "], got ", center.sizes());
  TORCH_CHECK_VALUE(center.device() == student_scores.device(), who, ": expected center on ",
                    student_scores.device(), ", got ", center.device());
}

}  // namespace detail

namespace functional {

/// The student learns the teacher's assignment over the region that both views show.
///
///     S' = inverse_augment(student_scores, student_view),  T' likewise of the teacher's view
///     t    = softmax_k((T' - center) / teacher_temperature)
///     loss = mean_{b,p} -sum_k t[b,k,p] log softmax_k(S'[b,k,p] / student_temperature)
///
/// `assignment_cross_entropy` of `inverse_augment`ed maps, in one pass that stores no aligned map
/// where a fused kernel runs.
///
/// Shapes: `student_scores`, `teacher_scores` [B,K,H,W], `center` [1,K]; the views' boxes [B,4] and
///   flips [B] as in `ViewGeometry`; result 0-d. No image or no position: 0 with a valid graph.
///   Views that share nothing align to zeros, which count as every other position.
/// Types: any floating; computed in float32 (float64 for float64 scores), result likewise.
/// Backends: fused on the CPU and, in a program that links slotcon::cuda, on CUDA devices.
/// Gradient: student_scores only; differentiable twice (reference) or once (fused).
/// Several processes: nothing travels and the mean is over this process' positions. Averaged over
///   processes with equally many, loss and gradients are those of one process with all images;
///   where the numbers differ, weigh by `share_of_mean` first, as `SlotConLoss` does.
/// Determinism: equal results from run to run; fused, on any number of threads.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit;
///   c10::NotImplementedError for Backend::kFused where it cannot run.
/// Example:
///     auto loss = functional::aligned_assignment_cross_entropy(
///         student.scores, teacher.scores, geometry[0], geometry[1], center->center);
/// Paper: Wen et al., NeurIPS 2022, section 3.2.
inline torch::Tensor aligned_assignment_cross_entropy(const torch::Tensor& student_scores,
                                                      const torch::Tensor& teacher_scores,
                                                      const ViewGeometry& student_view,
                                                      const ViewGeometry& teacher_view,
                                                      const torch::Tensor& center,
                                                      const AssignmentOptions& options = {}) {
  constexpr auto who = "aligned_assignment_cross_entropy";
  namespace distillation = kernel::aligned_assignment;
  detail::check_distillation(student_scores, teacher_scores, student_view, teacher_view, center,
                             options, who);
  const auto type = compute_type(student_scores.scalar_type(), who);
  const bool is_fused = kernel::use_fused_on(student_scores.device(), options.backend(),
                                             distillation::choose(student_scores), who);
  const AutocastOff precise;
  if (student_scores.numel() == 0) return student_scores.to(type).sum();
  const auto view = [&](const torch::Tensor& scores, const ViewGeometry& geometry) {
    return distillation::View{scores.to(type), geometry.boxes.detach().to(type), geometry.flipped};
  };
  const auto student = view(student_scores, student_view);
  const auto teacher = view(teacher_scores.detach(), teacher_view);
  const auto shift = center.detach().to(type).flatten();
  const distillation::Temperatures temperatures{options.student_temperature(),
                                                options.teacher_temperature()};
  return is_fused ? distillation::fused(student, teacher, shift, temperatures, who)
                  : distillation::reference(student, teacher, shift, temperatures);
}

}  // namespace functional

}  // namespace slotcon
