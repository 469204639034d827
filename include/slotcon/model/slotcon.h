// SlotCon: student, teacher, projectors and the objective in one module.
#pragma once

#include <slotcon/core/two_views.h>
#include <slotcon/loss/slotcon_loss.h>
#include <slotcon/model/batch_norm.h>
#include <slotcon/model/projection_head.h>
#include <slotcon/model/teacher.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <array>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

namespace slotcon {

/// Sizes and numbers of SlotCon; the defaults are those of the published COCO recipe.
struct SlotConOptions {
  TORCH_ARG(std::int64_t, hidden_dim) = 4096;  ///< of the projectors and the predictor
  TORCH_ARG(SlotConLossOptions, loss) = SlotConLossOptions(/*num_prototypes=*/256, /*dim=*/256);
};

/// The whole method around an encoder.
///
/// `Encoder` is a module holder whose module is Cloneable, maps [B,3,H,W] to [B,C,h,w] and has
/// `out_channels()`, C; `ResNet` is one. `Loss` is `SlotConLoss` or `SinkhornSlotConLoss`.
///
/// Parameters and buffers have the names of published checkpoints: encoder_q.*, encoder_k.*,
/// projector_q.mlp.*, projector_k.mlp.*, grouping_q.slot_embed.weight,
/// grouping_k.slot_embed.weight, predictor_slot.mlp.*, center. The teacher's (..._k) take no
/// gradient.
///
/// One optimiser step, of one or several batches, is
///
///     model->update_teacher(teacher_momentum(step, total_steps));
///     auto output = model->forward(views);
///     output.loss.backward();
///     optimizer.step();
///     model->commit();
///
/// Each view passes the encoders on its own, so batch statistics are those of one view, as
/// published. The teacher stays in training mode and keeps running statistics of its own. Shapes,
/// gradient, processes: see `SlotConLossImpl`. Paper: Wen et al., NeurIPS 2022.
template <class Encoder, class Loss = SlotConLoss>
class SlotConImpl : public torch::nn::Cloneable<SlotConImpl<Encoder, Loss>> {
 public:
  explicit SlotConImpl(Encoder encoder, const SlotConOptions& options_ = {})
      : options(options_),
        encoder_q(std::move(encoder)),
        loss(options.loss(), torch::nn::AnyModule(make_predictor())) {
    build();
  }

  /// Called for a clone, whose encoder and loss must be its own.
  void reset() override {
    encoder_q = copy_of(encoder_q);
    loss = copy_of(loss);
    build();
  }

  /// A deep copy. (LibTorch's own gives every parameter a gradient, the teacher's too.)
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    auto copy = torch::nn::Cloneable<SlotConImpl>::clone(device);
    static_cast<SlotConImpl&>(*copy).freeze_teacher();
    return copy;
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::SlotCon(num_prototypes=" << options.loss().num_prototypes()
        << ", dim=" << options.loss().dim() << ", hidden_dim=" << options.hidden_dim() << ")";
  }

  void train(bool on = true) override {
    torch::nn::Module::train(on);
    loss->train(on);
  }

  SlotConLossOutput forward(const TwoViews& views) {
    const std::array<torch::Tensor, 2> student{student_features(views.images[0]),
                                               student_features(views.images[1])};
    const std::array<torch::Tensor, 2> teacher{teacher_features(views.images[0]),
                                               teacher_features(views.images[1])};
    return loss->forward(student, teacher, views.geometry);
  }

  /// Moves the teacher's encoder, projector and prototypes towards the student's.
  void update_teacher(double momentum) {
    slotcon::update_teacher(*encoder_k, *encoder_q, momentum);
    slotcon::update_teacher(*projector_k, *projector_q, momentum);
    loss->update_teacher(momentum);
  }

  /// Makes this process one of a group (null: of none): keys, centre and batch statistics are then
  /// those of all processes. See `SlotConLossImpl` for what to do with the gradients and
  /// `synchronise_batch_norm` for what the encoder's norms have to be.
  void join(const CollectivesPtr& collectives) {
    synchronise_batch_norm(*this, collectives);
    loss->collectives = collectives;
  }

  /// Ends an optimiser step; see `SlotConLossImpl::commit`.
  void commit() { loss->commit(); }

  /// Ends a step that is not to count; see `SlotConLossImpl::discard`.
  void discard() { loss->discard(); }

  /// The teacher's backbone features [B,C,h,w] of images [B,3,H,W]; without gradient.
  torch::Tensor teacher_backbone(const torch::Tensor& images) {
    const at::NoGradGuard no_grad;
    return encoder_k->forward(images);
  }

  /// The teacher's slots and scores of images [B,3,H,W]; without gradient. For evaluation: call
  /// eval() first.
  Grouping segment(const torch::Tensor& images) {
    return segment_backbone(teacher_backbone(images));
  }

  /// The same of images whose teacher_backbone() is at hand.
  Grouping segment_backbone(const torch::Tensor& features) {
    const at::NoGradGuard no_grad;
    return loss->grouping_k->forward(projector_k->forward(features));
  }

  SlotConOptions options;
  Encoder encoder_q{nullptr}, encoder_k{nullptr};
  ProjectionHead2d projector_q{nullptr}, projector_k{nullptr};
  Loss loss{nullptr};  ///< its parts are registered here, under the published names

 private:
  template <class Holder>
  static Holder copy_of(const Holder& module) {
    return Holder(std::dynamic_pointer_cast<typename Holder::ContainedType>(module->clone()));
  }

  void freeze_teacher() {
    freeze(*encoder_k);
    freeze(*projector_k);
    loss->freeze_teacher();
  }

  ProjectionHead make_predictor() const {
    const auto dim = options.loss().dim();
    return ProjectionHead(ProjectionHeadOptions(dim, options.hidden_dim(), dim));
  }

  void build() {
    const ProjectionHeadOptions projector(encoder_q->out_channels(), options.hidden_dim(),
                                          options.loss().dim());
    projector_q = ProjectionHead2d(projector);
    projector_k = ProjectionHead2d(projector);
    encoder_k = copy_of(encoder_q);
    start_teacher(*encoder_k, *encoder_q);
    start_teacher(*projector_k, *projector_q);

    this->register_module("encoder_q", encoder_q);
    this->register_module("encoder_k", encoder_k);
    this->register_module("projector_q", projector_q);
    this->register_module("projector_k", projector_k);
    this->register_module("grouping_q", loss->grouping_q);
    this->register_module("grouping_k", loss->grouping_k);
    this->register_module("predictor_slot", loss->contrast->predictor.ptr());
    for (auto& buffer : loss->assignment->named_buffers()) {
      this->register_buffer(buffer.key(), buffer.value());
    }
  }

  torch::Tensor student_features(const torch::Tensor& images) {
    return projector_q->forward(encoder_q->forward(images));
  }

  torch::Tensor teacher_features(const torch::Tensor& images) {
    const at::NoGradGuard no_grad;
    return projector_k->forward(encoder_k->forward(images));
  }
};

template <class Encoder, class Loss = SlotConLoss>
using SlotCon = torch::nn::ModuleHolder<SlotConImpl<Encoder, Loss>>;

}  // namespace slotcon
