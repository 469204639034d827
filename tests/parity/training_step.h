// One training step of the whole model, on one or several processes, against the published code.
#pragma once

#include <slotcon/model/slotcon.h>
#include <slotcon/train/schedule.h>
#include <torch/nn/modules/activation.h>

#include <string>

#include "tests/parity/fixture.h"
#include "tests/parity/report.h"
#include "tests/parity/state.h"

namespace slotcon::parity {

/// The fixtures' encoder: `net` = conv 3x3 stride 2, batch norm, ReLU, conv 1x1.
class FixtureEncoderImpl : public torch::nn::Cloneable<FixtureEncoderImpl> {
 public:
  FixtureEncoderImpl(std::int64_t width, std::int64_t channels)
      : width_(width), channels_(channels) {
    reset();
  }

  void reset() override {
    net = register_module(
        "net", torch::nn::Sequential(
                   torch::nn::Conv2d(torch::nn::Conv2dOptions(3, width_, 3).stride(2).padding(1)),
                   torch::nn::BatchNorm2d(width_), torch::nn::ReLU(),
                   torch::nn::Conv2d(torch::nn::Conv2dOptions(width_, channels_, 1))));
  }

  torch::Tensor forward(const torch::Tensor& images) { return net->forward(images); }
  std::int64_t out_channels() const { return channels_; }

  torch::nn::Sequential net{nullptr};

 private:
  std::int64_t width_, channels_;
};
TORCH_MODULE(FixtureEncoder);

inline SlotCon<FixtureEncoder> model_of(const Fixture& f) {
  const auto prototypes = f["state/grouping_q.slot_embed.weight"];
  const auto stem = f["state/encoder_q.net.0.weight"];
  const auto head = f["state/projector_q.mlp.0.weight"];
  const auto options = SlotConOptions()
                           .hidden_dim(head.size(0))
                           .loss(SlotConLossOptions(prototypes.size(0), prototypes.size(1))
                                     .mean_over(MeanOver::kEachProcess));
  SlotCon<FixtureEncoder> model(FixtureEncoder(stem.size(0), head.size(1)), options);
  model->to(f.device());
  load_state(*model, f.below("state/"));
  return model;
}

inline TwoViews views_of(const Fixture& f) {
  TwoViews views;
  for (std::size_t v = 0; v < 2; ++v) {
    const auto number = std::to_string(v);
    views.images[v] = f["crop" + number];
    views.geometry[v] = {f["coords" + number], f["flip" + number].to(torch::kBool)};
  }
  return views;
}

/// One step, of one process or of this one among others. The published code averages what each
/// process makes of its own batch, with ordinary batch norms.
inline void check_training_step(const Fixture& f, const CollectivesPtr& collectives,
                                Report& report) {
  auto model = model_of(f);
  model->loss->collectives = collectives;
  model->update_teacher(teacher_momentum(f.integer("k_before"), f.integer("k_total")));
  const auto output = model->forward(views_of(f));
  output.loss.backward();
  model->commit();

  report.value(f.name() + " loss", output.loss, f["loss"]);
  report.value(f.name() + " center_after", model->loss->assignment->center, f["center_after"]);
  compare_gradients(f.name(), *model, f, report);
  const auto state = named_state(*model);
  for (const auto& [name, theirs] : f.below("after/")) {
    report.value(f.name() + " after " + name, state.at(name), theirs);
  }
}

}  // namespace slotcon::parity
