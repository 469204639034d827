// Batch norm in training and its activation: what follows a convolution.
#include <slotcon/model/batch_norm.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>

#include "benchmarks/inputs.h"
#include "benchmarks/suite.h"
#include "benchmarks/workload.h"

namespace bench {
namespace {

using slotcon::kernel::Activation;

bool has_residual(const NormSize& size) { return size.activation == Activation::kAddRelu; }

/// Maps, gradient by the result, and the residual where there is one.
Tensors make_inputs(const NormSize& size, c10::Device place) {
  Random random(/*seed=*/6, place);
  Tensors inputs;
  for (int i = 0; i < (has_residual(size) ? 3 : 2); ++i) {
    inputs.push_back(random.normal({size.images, size.channels, size.side, size.side})
                         .contiguous(torch::MemoryFormat::ChannelsLast));
  }
  return inputs;
}

Prepare forward_backward(const NormSize& size, Precision precision, slotcon::Backend backend) {
  return [=](const Tensors& inputs) -> Call {
    const bool exact = inputs[0].scalar_type() == at::kDouble;
    slotcon::BatchNorm norm(size.channels);
    norm->to(inputs[0].device(), exact ? at::kDouble : at::kFloat);
    norm->backend = backend;
    Tensors maps;
    for (const auto& input : inputs) maps.push_back(exact ? input : input.to(type_of(precision)));
    const auto x = leaf(maps[0]), residual = has_residual(size) ? leaf(maps[2]) : torch::Tensor();
    return [=]() -> Tensors {
      auto layer = norm;
      const auto y = size.activation == Activation::kGelu ? layer->forward_gelu(x)
                                                          : layer->forward_relu(x, residual);
      return {y.detach(), torch::autograd::grad({y}, {x}, {maps[1]})[0]};
    };
  };
}

void add_size(const Plan& plan, const NormSize& size, Precision precision) {
  using slotcon::Backend;
  Workload::Description description{"batch_norm", "forward_backward", precision, size.name()};
  description.tolerance *= 2;  // near 0, rounding decides which gradients pass
  const auto workload = std::make_shared<Workload>(
      plan.device, description, [=](c10::Device place) { return make_inputs(size, place); },
      forward_backward(size, precision, Backend::kReference));
  add(workload, "reference", forward_backward(size, precision, Backend::kReference));
  add(workload, "fused", forward_backward(size, precision, Backend::kFused));
}

}  // namespace

void add_batch_norm(const Plan& plan) {
  for (const auto& size : plan.norms) {
    for (const auto precision : {Precision::kFloat32, Precision::kBFloat16}) {
      add_size(plan, size, precision);
    }
  }
}

}  // namespace bench
