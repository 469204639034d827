// Sinkhorn-Knopp as the alternative to centring: the batch itself balances the prototypes.
#pragma once

#include <slotcon/loss/prototype_assignment.h>

namespace slotcon {

/// Numbers of the Sinkhorn-Knopp assignment.
struct SinkhornOptions {
  TORCH_ARG(double, temperature) = 0.07;    ///< > 0: divides the scores.
  TORCH_ARG(std::int64_t, iterations) = 3;  ///< >= 1.
};

namespace functional {

/// Assignments that give every prototype an equal share of all positions, by Sinkhorn-Knopp.
///
///     Q = exp(scores / temperature);  `iterations` times: Q <- Q / sum_n Q, then Q <- Q / sum_k Q
///
/// where n runs over the positions of all images and processes, so each position ends with sum 1.
///
/// Shapes: `teacher_scores` [B,K,*spatial] cosines; result [B,K,*spatial]. No position: an empty
/// result. Types: any floating; the result is float32 (float64 for float64 scores). Without
/// gradient. Numerics: cosines are at most 1, so exp((scores - 1) / temperature) needs no maximum
/// over processes;
///   in float32 it does not underflow for temperature >= 0.03.
/// Several processes: all of the group call it, also one without positions; what travels are the
///   sums over positions, [K,1] an iteration. Targets take no gradient: see `soft_cross_entropy`.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit.
/// Example:
///     auto targets = functional::sinkhorn_assignment(teacher_scores);
///     auto loss = functional::soft_cross_entropy(student_scores, targets);
/// Paper: Caron et al., NeurIPS 2020 (SwAV), section 3.1.
inline torch::Tensor sinkhorn_assignment(const torch::Tensor& teacher_scores,
                                         const SinkhornOptions& options = {},
                                         Collectives* collectives = nullptr) {
  constexpr auto who = "sinkhorn_assignment";
  detail::check_scores(teacher_scores, who);
  TORCH_CHECK_VALUE(options.temperature() > 0 && options.iterations() >= 1, who,
                    ": expected temperature > 0 and iterations >= 1, got ", options.temperature(),
                    " and ", options.iterations());
  const auto type = compute_type(teacher_scores.scalar_type(), who);
  const at::NoGradGuard no_grad;
  const AutocastOff precise;
  const auto rows = teacher_scores.to(type).transpose(0, 1);  // [K,B,*spatial]
  auto assignment = ((rows.flatten(1) - 1) / options.temperature()).exp();
  for (std::int64_t i = 0; i < options.iterations(); ++i) {
    auto share = assignment.sum(1, /*keepdim=*/true);
    if (collectives != nullptr) share = collectives->all_reduce_sum(share);
    assignment = assignment / share;
    assignment = assignment / assignment.sum(0, /*keepdim=*/true);
  }
  return assignment.view(rows.sizes()).transpose(0, 1).contiguous();
}

}  // namespace functional

/// The stand-in for `PrototypeCenter` that balances each batch by Sinkhorn-Knopp. It has no state.
class SinkhornAssignmentImpl : public torch::nn::Cloneable<SinkhornAssignmentImpl> {
 public:
  explicit SinkhornAssignmentImpl(const SinkhornOptions& options_ = {}) : options(options_) {}

  void reset() override {}

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::SinkhornAssignment(temperature=" << options.temperature()
        << ", iterations=" << options.iterations() << ")";
  }

  /// Cross entropy of the student's assignment to the teacher's; every process of the group calls
  /// it.
  torch::Tensor forward(const torch::Tensor& student_scores, const torch::Tensor& teacher_scores,
                        const AssignmentOptions& assignment = {},
                        Collectives* collectives = nullptr) const {
    const auto targets = functional::sinkhorn_assignment(teacher_scores, options, collectives);
    return functional::soft_cross_entropy(student_scores, targets, assignment);
  }

  /// The teacher's assignment, balanced over the scores of this process alone.
  Assigner assigner(const AssignmentOptions& /*assignment*/) const {
    return [options = options](const torch::Tensor& teacher_scores) {
      return functional::sinkhorn_assignment(teacher_scores, options);
    };
  }

  /// Nothing is carried from batch to batch.
  void accumulate(const torch::Tensor& /*scores*/) {}
  void commit(Collectives* /*collectives*/ = nullptr) {}
  void discard() {}

  SinkhornOptions options;
};
TORCH_MODULE(SinkhornAssignment);

}  // namespace slotcon
