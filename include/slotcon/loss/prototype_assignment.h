// The student learns the teacher's assignment of positions to prototypes; the teacher is centred
// and sharpened.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/core/collectives.h>
#include <slotcon/core/precision.h>
#include <slotcon/kernel/prototype_assignment/dispatch.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <functional>
#include <ostream>
#include <vector>

namespace slotcon {

/// Numbers of the assignment's cross entropy.
struct AssignmentOptions {
  TORCH_ARG(double, student_temperature) = 0.1;   ///< > 0: divides the student's scores.
  TORCH_ARG(double, teacher_temperature) = 0.07;  ///< > 0: divides the teacher's; lower is sharper.
  TORCH_ARG(Backend, backend) = Backend::kAuto;
};

namespace detail {

inline void check_temperatures(const AssignmentOptions& options, const char* who) {
  TORCH_CHECK_VALUE(options.student_temperature() > 0 && options.teacher_temperature() > 0, who,
                    ": expected student_temperature > 0 and teacher_temperature > 0, got ",
                    options.student_temperature(), " and ", options.teacher_temperature());
}

inline void check_scores(const torch::Tensor& scores, const char* who) {
  TORCH_CHECK_VALUE(scores.dim() >= 2 && scores.size(1) > 0, who,
                    ": expected scores [B,K,*spatial] with K >= 1, got ", scores.sizes());
}

inline void check_targets(const torch::Tensor& student_scores, const torch::Tensor& targets,
                          const AssignmentOptions& options, const char* who) {
  check_temperatures(options, who);
  check_scores(student_scores, who);
  TORCH_CHECK_VALUE(student_scores.sizes() == targets.sizes(), who,
                    ": expected student scores and targets of one shape, got ",
                    student_scores.sizes(), " and ", targets.sizes());
  TORCH_CHECK_VALUE(student_scores.device() == targets.device(), who,
                    ": expected student scores and targets on one device, got ",
                    student_scores.device(), " and ", targets.device());
}

/// The centre [1,K] shaped to broadcast over scores [B,K,*spatial].
inline torch::Tensor over_positions(const torch::Tensor& center, const torch::Tensor& scores) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(scores.dim()), 1);
  sizes[1] = center.size(1);
  return center.view(sizes);
}

}  // namespace detail

namespace functional {

/// The teacher's assignment: softmax over prototypes of (scores - center) / temperature.
///
/// Shapes: `teacher_scores` [B,K,*spatial], `center` [1,K]; result [B,K,*spatial], sums to 1 over
/// K. Types: any floating; the result is float32 (float64 for float64 scores). Without gradient.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit.
inline torch::Tensor centered_assignment(const torch::Tensor& teacher_scores,
                                         const torch::Tensor& center,
                                         const AssignmentOptions& options = {}) {
  constexpr auto who = "centered_assignment";
  detail::check_temperatures(options, who);
  detail::check_scores(teacher_scores, who);
  TORCH_CHECK_VALUE(
      center.dim() == 2 && center.size(0) == 1 && center.size(1) == teacher_scores.size(1), who,
      ": expected center [1, ", teacher_scores.size(1), "], got ", center.sizes());
  const auto type = compute_type(teacher_scores.scalar_type(), who);
  const at::NoGradGuard no_grad;
  const AutocastOff precise;
  const auto centered =
      teacher_scores.to(type) - detail::over_positions(center.to(type), teacher_scores);
  return at::softmax(centered / options.teacher_temperature(), 1);
}

/// Cross entropy of the student's assignment to given targets, mean over images and positions.
///
///     loss = mean_{b,n} -sum_k targets[b,k,n] log softmax_k(student_scores[b,k,n] /
///     student_temperature)
///
/// Shapes: both [B,K,*spatial]. No image or no position: 0 with a valid graph.
/// Types: any floating; computed in float32 (float64 for float64 scores), result likewise.
/// Backends: fused on the CPU in float32.
/// Gradient: student_scores only; differentiable twice (reference) or once (fused).
/// Several processes: nothing travels and the mean is over this process' positions. Averaged over
///   processes with equally many, loss and gradients are those of one process with all images;
///   where the numbers differ, weigh by `share_of_mean` first, as `SlotConLoss` does.
/// Determinism: equal results from run to run; fused, on any number of threads.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit;
///   c10::NotImplementedError for Backend::kFused where it cannot run.
inline torch::Tensor soft_cross_entropy(const torch::Tensor& student_scores,
                                        const torch::Tensor& targets,
                                        const AssignmentOptions& options = {}) {
  constexpr auto who = "soft_cross_entropy";
  detail::check_targets(student_scores, targets, options, who);
  const auto type = compute_type(student_scores.scalar_type(), who);
  const bool is_fused =
      use_fused(options.backend(), kernel::prototype_assignment::choose(student_scores), who);
  const AutocastOff precise;
  if (student_scores.numel() == 0) return student_scores.to(type).sum();
  const auto scores = student_scores.to(type), shares = targets.detach().to(type);
  const double temperature = options.student_temperature();
  return is_fused ? kernel::prototype_assignment::fused(scores, shares, temperature, who)
                  : kernel::prototype_assignment::reference(scores, shares, temperature);
}

/// The student learns the teacher's centred, sharpened assignment of the same positions.
///
///     t    = softmax_k((teacher_scores - center) / teacher_temperature)
///     loss = mean_{b,n} -sum_k t[b,k,n] log softmax_k(student_scores[b,k,n] / student_temperature)
///
/// Centring takes from each prototype what the teacher gives it on average, so that none wins
/// everywhere; sharpening (teacher_temperature < student_temperature) keeps the assignment from
/// going uniform. ln K is the loss of a student that knows nothing.
///
/// Shapes: `student_scores`, `teacher_scores` [B,K,*spatial], `center` [1,K]; result 0-d. No image
/// or no
///   position: 0 with a valid graph. Every position counts equally; nothing is masked.
/// Types: any floating; computed in float32 (float64 for float64 scores), result likewise.
/// Backends: the cross entropy is fused on the CPU in float32; where the views have to be brought
///   into register first, `aligned_assignment_cross_entropy` does all in one pass.
/// Gradient: student_scores only; differentiable twice (reference) or once (fused).
/// Several processes: nothing travels and the mean is over this process' positions. Averaged over
///   processes with equally many, loss and gradients are those of one process with all images;
///   where the numbers differ, weigh by `share_of_mean` first, as `SlotConLoss` does.
/// Determinism: equal results from run to run on one device and thread count.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit;
///   c10::NotImplementedError for Backend::kFused where it cannot run.
/// Example:
///     auto loss = functional::assignment_cross_entropy(student, teacher, center->center);
/// Paper: Wen et al., NeurIPS 2022, section 3.2, after Caron et al., ICCV 2021 (DINO).
inline torch::Tensor assignment_cross_entropy(const torch::Tensor& student_scores,
                                              const torch::Tensor& teacher_scores,
                                              const torch::Tensor& center,
                                              const AssignmentOptions& options = {}) {
  return soft_cross_entropy(student_scores, centered_assignment(teacher_scores, center, options),
                            options);
}

}  // namespace functional

/// Turns teacher scores [B,K,*spatial] into targets of the same shape.
using Assigner = std::function<torch::Tensor(const torch::Tensor&)>;

/// Numbers of the centre.
struct PrototypeCenterOptions {
  /* implicit */ PrototypeCenterOptions(std::int64_t num_prototypes)
      : num_prototypes_(num_prototypes) {}

  TORCH_ARG(std::int64_t, num_prototypes);  ///< K >= 1.
  TORCH_ARG(double, momentum) = 0.9;  ///< in [0,1]: what stays of the old centre at an update.
};

/// The moving average of the teacher's scores, one number a prototype: buffer `center` [1,K], zeros
/// at first.
///
///     center <- momentum * center + (1 - momentum) * mean over images and positions of the scores
///
/// The mean is over everything accumulated since the last commit, on all processes together, so
/// several backward passes for one optimiser step count as one batch. Nothing accumulated anywhere:
/// no change. Without gradient.
class PrototypeCenterImpl : public torch::nn::Cloneable<PrototypeCenterImpl> {
 public:
  explicit PrototypeCenterImpl(const PrototypeCenterOptions& options_) : options(options_) {
    reset();
  }

  void reset() override {
    TORCH_CHECK_VALUE(options.num_prototypes() >= 1,
                      "PrototypeCenter: expected num_prototypes >= 1, got ",
                      options.num_prototypes());
    TORCH_CHECK_VALUE(options.momentum() >= 0 && options.momentum() <= 1,
                      "PrototypeCenter: expected momentum in [0,1], got ", options.momentum());
    center = register_buffer("center", torch::zeros({1, options.num_prototypes()}));
    discard();
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::PrototypeCenter(num_prototypes=" << options.num_prototypes()
        << ", momentum=" << options.momentum() << ")";
  }

  /// Cross entropy of the student's assignment to the teacher's, centred by the committed centre.
  torch::Tensor forward(const torch::Tensor& student_scores, const torch::Tensor& teacher_scores,
                        const AssignmentOptions& assignment = {},
                        Collectives* /*collectives*/ = nullptr) const {
    return functional::assignment_cross_entropy(student_scores, teacher_scores, center, assignment);
  }

  /// The teacher's assignment with the centre as it is now, whatever becomes of it later.
  Assigner assigner(const AssignmentOptions& assignment) const {
    return [center = center.clone(), assignment](const torch::Tensor& teacher_scores) {
      return functional::centered_assignment(teacher_scores, center, assignment);
    };
  }

  /// Adds teacher scores [B,K,*spatial] to what the next commit averages.
  void accumulate(const torch::Tensor& scores) {
    detail::check_scores(scores, "PrototypeCenter");
    TORCH_CHECK_VALUE(scores.size(1) == options.num_prototypes(),
                      "PrototypeCenter: expected scores [B, ", options.num_prototypes(),
                      ", *spatial], got ", scores.sizes());
    const at::NoGradGuard no_grad;
    const auto sum = scores.to(center.scalar_type()).transpose(0, 1).flatten(1).sum(1);
    const auto rows = at::full({1}, scores.numel() / scores.size(1), sum.options());
    const auto added = at::cat({sum, rows});
    pending_ = pending_.defined() ? pending_ + added : added;
  }

  /// Moves the centre by what has been accumulated on all processes; every process of the group
  /// calls it.
  void commit(Collectives* collectives = nullptr) {
    const at::NoGradGuard no_grad;
    auto gathered =
        pending_.defined() ? pending_ : at::zeros({center.size(1) + 1}, center.options());
    if (collectives != nullptr) gathered = collectives->all_reduce_sum(gathered);
    const auto rows = gathered.slice(0, center.size(1));
    const auto mean = gathered.slice(0, 0, center.size(1)) / rows;
    const auto moved = center * options.momentum() + mean * (1 - options.momentum());
    center.copy_(at::where(rows > 0, moved, center));
    discard();
  }

  /// accumulate() and commit() in one call.
  void update(const torch::Tensor& scores, Collectives* collectives = nullptr) {
    accumulate(scores);
    commit(collectives);
  }

  /// Forgets what has been accumulated, for a step that is not to count.
  void discard() { pending_ = torch::Tensor(); }

  PrototypeCenterOptions options;
  torch::Tensor center;

 private:
  torch::Tensor pending_;  // [K+1]: sums of scores and the number of rows since the last commit
};
TORCH_MODULE(PrototypeCenter);

}  // namespace slotcon
