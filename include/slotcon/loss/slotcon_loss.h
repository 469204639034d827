// The whole objective of SlotCon, for a trainer that has the features of a student and a teacher.
#pragma once

#include <slotcon/core/moving_average.h>
#include <slotcon/core/two_views.h>
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/loss/sinkhorn_assignment.h>
#include <slotcon/loss/slot_diagnostics.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <array>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

namespace slotcon {

/// Numbers of the objective; the defaults are the published ones.
struct SlotConLossOptions {
  SlotConLossOptions(std::int64_t num_prototypes, std::int64_t dim)
      : num_prototypes_(num_prototypes), dim_(dim) {}

  TORCH_ARG(std::int64_t, num_prototypes);        ///< K >= 1.
  TORCH_ARG(std::int64_t, dim);                   ///< D >= 1: channels of the features.
  TORCH_ARG(double, student_temperature) = 0.1;   ///< > 0: of the student's assignment.
  TORCH_ARG(double, teacher_temperature) = 0.07;  ///< > 0: of the teacher's, and of both groupings.
  TORCH_ARG(double, center_momentum) = 0.9;       ///< in [0,1].
  TORCH_ARG(double, contrast_temperature) = 0.2;  ///< > 0: of slot InfoNCE.
  TORCH_ARG(double, grouping_weight) = 0.5;       ///< in [0,1]; the contrast has the rest.
  TORCH_ARG(MeanOver, mean_over) = MeanOver::kJoinedBatch;  ///< without meaning in one process.
  TORCH_ARG(Backend, backend) = Backend::kAuto;
};

/// The objective and what it consists of, 0-d each: of several processes, this one's share.
struct SlotConLossOutput {
  torch::Tensor loss;      ///< grouping_weight * grouping + (1 - grouping_weight) * contrast
  torch::Tensor grouping;  ///< the sum of both directions' assignment cross entropy; unweighted
  torch::Tensor contrast;  ///< the sum of both directions' slot InfoNCE; unweighted
  SlotDiagnostics diagnostics;
};

namespace detail {

inline void make_assignment(PrototypeCenter& assignment, const SlotConLossOptions& options) {
  assignment = PrototypeCenter(
      PrototypeCenterOptions(options.num_prototypes()).momentum(options.center_momentum()));
}

inline void make_assignment(SinkhornAssignment& assignment, const SlotConLossOptions& options) {
  assignment = SinkhornAssignment(SinkhornOptions().temperature(options.teacher_temperature()));
}

/// The scores of one view's branch and where they lie.
struct ScoredView {
  const torch::Tensor& scores;
  const ViewGeometry& geometry;
};

inline torch::Tensor distill(const PrototypeCenter& assignment, const ScoredView& student,
                             const ScoredView& teacher, const AssignmentOptions& options,
                             Collectives* /*collectives*/) {
  return functional::aligned_assignment_cross_entropy(student.scores, teacher.scores,
                                                      student.geometry, teacher.geometry,
                                                      assignment->center, options);
}

inline torch::Tensor distill(const SinkhornAssignment& assignment, const ScoredView& student,
                             const ScoredView& teacher, const AssignmentOptions& options,
                             Collectives* collectives) {
  const auto aligned = [&](const ScoredView& view) {
    return functional::inverse_augment(view.scores, view.geometry.boxes, view.geometry.flipped,
                                       InverseAugmentationOptions().backend(options.backend()));
  };
  return assignment->forward(aligned(student), aligned(teacher), options, collectives);
}

inline torch::Tensor norm_of_center(const PrototypeCenter& assignment) {
  return assignment->center.norm();
}

inline torch::Tensor norm_of_center(const SinkhornAssignment& /*assignment*/) { return {}; }

}  // namespace detail

/// Semantic grouping, assignment distillation and slot contrast of two views, composed.
///
///     (q_i, S_i) = grouping_q(student_i),  (k_i, T_i) = grouping_k(teacher_i)
///     grouping   = CE(T'_2 -> S'_1) + CE(T'_1 -> S'_2)     S', T': inverse_augment of S, T
///     contrast   = InfoNCE(predictor(q_1), k_2) + InfoNCE(predictor(q_2), k_1)
///     loss       = grouping_weight * grouping + (1 - grouping_weight) * contrast
///
/// `Assignment` makes the teacher's targets: `PrototypeCenter` (as published) or
/// `SinkhornAssignment`. The teacher's prototypes follow the student's by `update_teacher`; in
/// training mode the teacher's scores are accumulated and move the centre at `commit`. One
/// optimiser step, of one or several batches, is
///
///     loss->update_teacher(momentum);
///     auto output = loss->forward(student, teacher, geometry);   // student: [B,D,h,w] of view 1
///     and 2 output.loss.backward(); optimizer.step(); loss->commit();
///
/// Shapes: features [B,D,h,w] of both views and both branches; geometry as in `ViewGeometry`.
/// Types: features of any floating dtype; the losses are float32 (float64 for float64 features).
/// Gradient: the student's features and prototypes and the predictor; nothing of the teacher.
/// Several processes: set `collectives`. Keys and the centre are then those of all of them, and
///   every process calls forward and commit, whatever images it has. Average the gradients: by
///   MeanOver::kJoinedBatch the parts are weighted so that their averages over the processes, and
///   those of the gradients, are what one process with all images has, if the networks' norms are
///   synchronised too (`synchronise_batch_norm`). By MeanOver::kEachProcess, as published, the
///   parts are means over each process' own positions and slots. The diagnostics are of its own
///   images.
/// Empty cases: those of the parts; each part is then 0 or a constant with a valid graph.
/// Paper: Wen et al., NeurIPS 2022.
template <class Assignment>
class SlotConLossImpl : public torch::nn::Cloneable<SlotConLossImpl<Assignment>> {
 public:
  /// `predictor`: a module from rows [n,D] to rows [n,D], see `SlotInfoNCE`.
  SlotConLossImpl(const SlotConLossOptions& options_, torch::nn::AnyModule predictor)
      : options(options_), contrast(std::move(predictor), contrast_options()) {
    build();
  }

  /// Called for a clone, whose predictor must be its own.
  void reset() override {
    contrast = SlotInfoNCE(std::dynamic_pointer_cast<SlotInfoNCEImpl>(contrast->clone()));
    build();
  }

  /// A deep copy. (LibTorch's own gives every parameter a gradient, the teacher's too.)
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    auto copy = torch::nn::Cloneable<SlotConLossImpl>::clone(device);
    static_cast<SlotConLossImpl&>(*copy).freeze_teacher();
    return copy;
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::SlotConLoss(num_prototypes=" << options.num_prototypes()
        << ", dim=" << options.dim() << ", grouping_weight=" << options.grouping_weight() << ")";
  }

  SlotConLossOutput forward(const std::array<torch::Tensor, 2>& student,
                            const std::array<torch::Tensor, 2>& teacher,
                            const std::array<ViewGeometry, 2>& geometry) {
    const std::array<Grouping, 2> q{grouping_q->forward(student[0]),
                                    grouping_q->forward(student[1])};
    const auto k = group_teacher(teacher);
    const auto grouping = distill(q, k, geometry);
    SlotDiagnostics diagnostics(observe(k, geometry));  // the centre as the loss used it
    if (this->is_training()) {
      for (const auto& view : k) assignment->accumulate(view.scores);
    }
    const auto contrasted = contrast_views(q, k);
    const auto weight = options.grouping_weight();
    return {weight * grouping + (1 - weight) * contrasted, grouping, contrasted,
            std::move(diagnostics)};
  }

  /// Teacher's prototypes <- momentum * teacher's + (1 - momentum) * student's.
  void update_teacher(double momentum) {
    update_moving_average({grouping_k->prototypes()}, {grouping_q->prototypes()}, momentum);
  }

  /// Takes the gradient from the teacher's prototypes.
  void freeze_teacher() { grouping_k->prototypes().set_requires_grad(false); }

  /// Ends an optimiser step: moves the centre by what the forward passes have accumulated.
  void commit() { assignment->commit(collectives.get()); }

  /// Ends a step that is not to count: the centre stays as it is.
  void discard() { assignment->discard(); }

  SlotConLossOptions options;
  SemanticGrouping grouping_q{nullptr};  ///< the student's prototypes
  SemanticGrouping grouping_k{nullptr};  ///< the teacher's
  Assignment assignment{nullptr};
  SlotInfoNCE contrast{nullptr};
  CollectivesPtr collectives;  ///< null: one process

 private:
  SlotInfoNCEOptions contrast_options() const {
    return SlotInfoNCEOptions()
        .temperature(options.contrast_temperature())
        .mean_over(options.mean_over())
        .backend(options.backend());
  }

  AssignmentOptions assignment_options() const {
    return AssignmentOptions()
        .student_temperature(options.student_temperature())
        .teacher_temperature(options.teacher_temperature())
        .backend(options.backend());
  }

  void build() {
    TORCH_CHECK_VALUE(options.grouping_weight() >= 0 && options.grouping_weight() <= 1,
                      "SlotConLoss: expected grouping_weight in [0,1], got ",
                      options.grouping_weight());
    detail::check_temperatures(assignment_options(), "SlotConLoss");
    const auto grouping = SemanticGroupingOptions(options.num_prototypes(), options.dim())
                              .temperature(options.teacher_temperature())
                              .backend(options.backend());
    grouping_q = this->register_module("grouping_q", SemanticGrouping(grouping));
    grouping_k = this->register_module("grouping_k", SemanticGrouping(grouping));
    freeze_teacher();
    update_teacher(0);
    detail::make_assignment(assignment, options);
    this->register_module("assignment", assignment);
    this->register_module("contrast", contrast);
  }

  std::array<Grouping, 2> group_teacher(const std::array<torch::Tensor, 2>& teacher) {
    const at::NoGradGuard no_grad;
    return {grouping_k->forward(teacher[0]), grouping_k->forward(teacher[1])};
  }

  torch::Tensor distill(const std::array<Grouping, 2>& q, const std::array<Grouping, 2>& k,
                        const std::array<ViewGeometry, 2>& geometry) {
    const auto one_way = [&](std::size_t student, std::size_t teacher) {
      return detail::distill(assignment, {q[student].scores, geometry[student]},
                             {k[teacher].scores, geometry[teacher]}, assignment_options(),
                             collectives.get());
    };
    const auto first = one_way(0, 1);
    const auto second = one_way(1, 0);
    const auto own = first + second;
    if (!collectives || options.mean_over() == MeanOver::kEachProcess) return own;
    const auto positions = q[0].scores.numel() / q[0].scores.size(1);
    return share_of_mean(own, positions, *collectives);
  }

  torch::Tensor contrast_views(const std::array<Grouping, 2>& q, const std::array<Grouping, 2>& k) {
    const auto one_way = [&](const Grouping& anchors, const Grouping& keys) {
      return contrast->forward(anchors.slots, keys.slots, anchors.present, keys.present,
                               collectives.get());
    };
    const auto first =
        one_way(q[0], k[1]);  // before the second: the predictor's running statistics
    const auto second = one_way(q[1], k[0]);
    return first + second;
  }

  SlotDiagnostics::Observed observe(const std::array<Grouping, 2>& k,
                                    const std::array<ViewGeometry, 2>& geometry) const {
    return {{k[0].scores, k[1].scores},
            {geometry[0].boxes, geometry[1].boxes},
            assignment->assigner(assignment_options()),
            detail::norm_of_center(assignment)};
  }
};

/// The objective as published, with a centred teacher.
TORCH_MODULE_IMPL(SlotConLoss, SlotConLossImpl<PrototypeCenter>);
/// The objective with a teacher balanced by Sinkhorn-Knopp.
TORCH_MODULE_IMPL(SinkhornSlotConLoss, SlotConLossImpl<SinkhornAssignment>);

}  // namespace slotcon
