// A step of `pretrain`: networks, objective, optimiser and teacher.
#include <slotcon/model/memory_format.h>
#include <slotcon/model/resnet.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/train/adamw.h>
#include <slotcon/train/training_step.h>
#include <torch/optim/adamw.h>

#include <array>
#include <memory>
#include <utility>

#include "benchmarks/inputs.h"
#include "benchmarks/published.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

using Model = slotcon::SlotCon<slotcon::ResNet>;

constexpr double kTeacherMomentum = 0.97;
constexpr double kLearningRate = 3e-3;

slotcon::TwoViews unpack(const Tensors& t) {
  return {{t[0], t[1]}, {{{t[2], t[3]}, {t[4], t[5]}}}};
}

Tensors make_inputs(const StepSize& size, c10::Device place) {
  Random random(/*seed=*/5, place);
  Tensors inputs;
  for (int view = 0; view < 2; ++view) {
    inputs.push_back(random.normal({size.images, 3, size.pixels, size.pixels})
                         .contiguous(torch::MemoryFormat::ChannelsLast));
  }
  for (int view = 0; view < 2; ++view) {
    const auto geometry = geometry_of(random, size.images);
    inputs.push_back(geometry.boxes);
    inputs.push_back(geometry.flipped);
  }
  return inputs;
}

slotcon::ResNetOptions network_options(const StepSize& size) {
  if (size.network == "resnet18") return slotcon::resnet18();
  if (size.network == "resnet50") return slotcon::resnet50();
  return slotcon::resnet_tiny();
}

Model make_model(const StepSize& size, slotcon::Backend backend, const torch::Tensor& images) {
  torch::manual_seed(0);
  const auto loss = slotcon::SlotConLossOptions(size.prototypes, size.dim).backend(backend);
  Model model(slotcon::ResNet(network_options(size)),
              slotcon::SlotConOptions().hidden_dim(size.hidden_dim).loss(loss));
  model->to(images.device(), images.scalar_type());
  slotcon::to_channels_last(*model);
  for (const auto& module : model->modules()) {
    auto* const norm = module->as<slotcon::BatchNorm>();
    if (norm != nullptr && backend == slotcon::Backend::kReference) norm->backend = backend;
  }
  return model;
}

template <class AdamW>
std::shared_ptr<torch::optim::Optimizer> make_optimizer(const torch::nn::Module& model) {
  Tensors trained;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  return std::make_shared<AdamW>(trained, torch::optim::AdamWOptions(kLearningRate));
}

Prepare with_backend(const StepSize& size, slotcon::Backend backend,
                     at::ScalarType precision = at::kFloat) {
  return [=](const Tensors& inputs) -> Call {
    auto model = make_model(size, backend, inputs[0]);
    const bool fused = backend != slotcon::Backend::kReference;
    const auto optimizer = fused ? make_optimizer<slotcon::AdamW>(*model)
                                 : make_optimizer<torch::optim::AdamW>(*model);
    const auto step = std::make_shared<slotcon::TrainingStep<Model>>(
        model, *optimizer, slotcon::TrainingStepOptions().precision(precision));
    return [step, optimizer, views = unpack(inputs)]() -> Tensors {
      return {step->run(views, kTeacherMomentum).loss};
    };
  };
}

/// Tensor by tensor, into new storage.
void follow(const Tensors& teacher, const Tensors& student) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < teacher.size(); ++i) {
    teacher[i].set_data(teacher[i] * kTeacherMomentum + student[i] * (1 - kTeacherMomentum));
  }
}

/// The same networks, layer by layer, and optimiser around the published operations.
class PublishedStep {
 public:
  PublishedStep(Model model, const slotcon::TwoViews& views)
      : model_(std::move(model)),
        optimizer_(make_optimizer<torch::optim::AdamW>(*model_)),
        views_(views) {
    auto& loss = model_->loss;
    objective_ = {loss->grouping_q->prototypes(), loss->grouping_k->prototypes(),
                  loss->assignment->center, [this](const torch::Tensor& rows) {
                    return model_->loss->contrast->predictor.forward(rows);
                  }};
  }

  Tensors operator()() {
    follow(model_->encoder_k->parameters(), model_->encoder_q->parameters());
    follow(model_->projector_k->parameters(), model_->projector_q->parameters());
    follow(model_->loss->grouping_k->parameters(), model_->loss->grouping_q->parameters());
    const std::array student{features(model_->encoder_q, model_->projector_q, 0),
                             features(model_->encoder_q, model_->projector_q, 1)};
    const auto loss = objective_.loss(student, teacher_features(), views_.geometry);
    optimizer_->zero_grad();
    loss.backward();
    optimizer_->step();
    return {loss.detach()};
  }

 private:
  torch::Tensor features(slotcon::ResNet& encoder, slotcon::ProjectionHead2d& projector,
                         std::size_t view) {
    return projector->forward(encoder->forward(views_.images[view]));
  }

  std::array<torch::Tensor, 2> teacher_features() {
    const at::NoGradGuard no_grad;
    return {features(model_->encoder_k, model_->projector_k, 0),
            features(model_->encoder_k, model_->projector_k, 1)};
  }

  Model model_;
  std::shared_ptr<torch::optim::Optimizer> optimizer_;
  slotcon::TwoViews views_;
  published::Objective objective_;
};

Prepare published_step(const StepSize& size) {
  return [size](const Tensors& inputs) -> Call {
    const auto step = std::make_shared<PublishedStep>(
        make_model(size, slotcon::Backend::kReference, inputs[0]), unpack(inputs));
    return [step] { return (*step)(); };
  };
}

void add_size(const Plan& plan, const StepSize& size) {
  using slotcon::Backend;
  Workload::Description description{"pretrain", "step", Precision::kFloat32, size.name()};
  description.tolerance = 3e-2;  // an untrained network: rounding decides which slots win
  const auto workload = std::make_shared<Workload>(
      plan.device, description, [=](c10::Device place) { return make_inputs(size, place); },
      with_backend(size, Backend::kReference));
  add(workload, "published", published_step(size));
  add(workload, "reference", with_backend(size, Backend::kReference));
  add(workload, "fused", with_backend(size, Backend::kFused));
  add(workload, "fused_bfloat16", with_backend(size, Backend::kFused, at::kBFloat16));
}

}  // namespace

void add_pretrain(const Plan& plan) {
  for (const auto& size : plan.pretraining) add_size(plan, size);
}

}  // namespace bench
