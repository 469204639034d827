// The whole objective on features, both views, without the predictor: its time is that of a
// perceptron, not of the loss.
#include <slotcon/loss/slotcon_loss.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <memory>

#include "benchmarks/inputs.h"
#include "benchmarks/published.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

struct Inputs {
  torch::Tensor prototypes;
  std::array<torch::Tensor, 2> student, teacher;
  std::array<slotcon::ViewGeometry, 2> geometry;
};

Inputs unpack(const Tensors& t) {
  return {t[0], {t[1], t[2]}, {t[3], t[4]}, {{{t[5], t[6]}, {t[7], t[8]}}}};
}

Tensors make_inputs(const MapSize& size, c10::Device place) {
  Random random(/*seed=*/4, place);
  const auto prototypes = random.normal({size.prototypes, size.dim});
  const auto shown = shown_prototypes(random, size);
  Tensors inputs{prototypes};
  for (int map = 0; map < 4; ++map) {
    inputs.push_back(features_of(random, size, prototypes, shown));
  }
  for (int view = 0; view < 2; ++view) {
    const auto geometry = geometry_of(random, size.images);
    inputs.push_back(geometry.boxes);
    inputs.push_back(geometry.flipped);
  }
  return inputs;
}

slotcon::SlotConLoss make_loss(const torch::Tensor& prototypes, slotcon::Backend backend) {
  const slotcon::SlotConLossOptions options(prototypes.size(0), prototypes.size(1));
  slotcon::SlotConLoss loss(slotcon::SlotConLossOptions(options).backend(backend),
                            torch::nn::AnyModule(torch::nn::Identity()));
  loss->to(prototypes.device(), prototypes.scalar_type());
  const at::NoGradGuard no_grad;
  loss->grouping_q->prototypes().copy_(prototypes);
  loss->update_teacher(0);
  return loss;
}

Tensors loss_and_gradients(const torch::Tensor& loss, const Tensors& arguments) {
  Tensors results{loss.detach()};
  for (auto& gradient : torch::autograd::grad({loss}, arguments)) results.push_back(gradient);
  return results;
}

Prepare with_backend(slotcon::Backend backend) {
  return [backend](const Tensors& inputs) -> Call {
    const auto in = unpack(inputs);
    const std::array student{leaf(in.student[0]), leaf(in.student[1])};
    return [in, student, loss = make_loss(in.prototypes, backend)]() mutable -> Tensors {
      const auto output = loss->forward(student, in.teacher, in.geometry);
      auto results =
          loss_and_gradients(output.loss, {student[0], student[1], loss->grouping_q->prototypes()});
      loss->commit();
      return results;
    };
  };
}

Call prepare_published(const Tensors& inputs) {
  const auto in = unpack(inputs);
  const std::array student{leaf(in.student[0]), leaf(in.student[1])};
  published::Objective objective{leaf(in.prototypes), in.prototypes,
                                 at::zeros({1, in.prototypes.size(0)}, in.prototypes.options())};
  return [in, student, objective]() mutable -> Tensors {
    const auto loss = objective.loss(student, in.teacher, in.geometry);
    return loss_and_gradients(loss, {student[0], student[1], objective.prototypes});
  };
}

void add_size(const Plan& plan, const MapSize& size) {
  using slotcon::Backend;
  Workload::Description description{"slotcon_loss", "forward_backward", Precision::kFloat32,
                                    size.name()};
  constexpr double kProducts = 2 * 6 + 2 * 2;  // the student's views with gradient, the teacher's
  description.flops =
      kProducts * 2 *
      static_cast<double>(size.images * size.prototypes * size.positions() * size.dim);
  const auto workload = std::make_shared<Workload>(
      plan.device, description, [=](c10::Device place) { return make_inputs(size, place); },
      with_backend(Backend::kReference));
  add(workload, "published", prepare_published);
  add(workload, "reference", with_backend(Backend::kReference));
  add(workload, "fused", with_backend(Backend::kFused));
}

}  // namespace

void add_slotcon_loss(const Plan& plan) {
  for (const auto& size : plan.objective) add_size(plan, size);
}

}  // namespace bench
