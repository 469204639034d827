// One direction of the distillation: both score maps are brought into register, then the cross
// entropy of the student's assignment to the teacher's.
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>

#include "benchmarks/inputs.h"
#include "benchmarks/published.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

struct Inputs {
  torch::Tensor student, teacher, center;
  slotcon::ViewGeometry student_view, teacher_view;
};

using Distill = std::function<torch::Tensor(const torch::Tensor& student, const Inputs&)>;

Inputs unpack(const Tensors& t, at::MemoryFormat format) {
  return {t[0].contiguous(format), t[1].contiguous(format), t[2], {t[3], t[4]}, {t[5], t[6]}};
}

Tensors make_inputs(const MapSize& size, c10::Device place) {
  Random random(/*seed=*/2, place);
  const auto prototypes = random.normal({size.prototypes, size.dim});
  const auto shown = shown_prototypes(random, size);
  const auto scores = [&] {
    return slotcon::functional::semantic_grouping(features_of(random, size, prototypes, shown),
                                                  prototypes)
        .scores;
  };
  const auto student = scores();
  const auto teacher = scores();
  const auto center = 0.1 * random.normal({1, size.prototypes});
  const auto student_view = geometry_of(random, size.images);
  const auto teacher_view = geometry_of(random, size.images);
  return {student,
          teacher,
          center,
          student_view.boxes,
          student_view.flipped,
          teacher_view.boxes,
          teacher_view.flipped};
}

torch::Tensor published_loss(const torch::Tensor& student, const Inputs& in) {
  const auto aligned = published::inverse_augment(student, in.student_view);
  const auto targets = published::inverse_augment(in.teacher, in.teacher_view);
  return published::assignment_cross_entropy(aligned, targets, in.center);
}

Distill with_backend(slotcon::Backend backend) {
  return [backend](const torch::Tensor& student, const Inputs& in) {
    return slotcon::functional::aligned_assignment_cross_entropy(
        student, in.teacher, in.student_view, in.teacher_view, in.center,
        slotcon::AssignmentOptions().backend(backend));
  };
}

/// `format`: the memory order in which the implementation's own grouping leaves the scores.
Prepare forward_backward(const Distill& distill, at::MemoryFormat format) {
  return [distill, format](const Tensors& inputs) -> Call {
    const auto in = unpack(inputs, format);
    return [distill, in, student = leaf(in.student)]() -> Tensors {
      const auto loss = distill(student, in);
      return {loss.detach(), torch::autograd::grad({loss}, {student})[0]};
    };
  };
}

void add_size(const Plan& plan, const MapSize& size) {
  using slotcon::Backend;
  const auto reference =
      forward_backward(with_backend(Backend::kReference), at::MemoryFormat::Contiguous);
  const auto workload = std::make_shared<Workload>(
      plan.device,
      Workload::Description{"aligned_assignment", "forward_backward", Precision::kFloat32,
                            size.name()},
      [=](c10::Device place) { return make_inputs(size, place); }, reference);
  add(workload, "published", forward_backward(published_loss, at::MemoryFormat::Contiguous));
  add_with_graph(workload, "reference", reference);
  add_with_graph(workload, "fused",
                 forward_backward(with_backend(Backend::kFused), at::MemoryFormat::ChannelsLast));
}

}  // namespace

void add_aligned_assignment(const Plan& plan) {
  for (const auto& size : plan.distillation) add_size(plan, size);
}

}  // namespace bench
