// Semantic grouping by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/once_differentiable.h>
#include <slotcon/kernel/semantic_grouping/cpu.h>
#include <slotcon/kernel/semantic_grouping/cuda.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <optional>
#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// The passes on the device of the features.
struct DevicePasses {
  static Forward forward(const torch::Tensor& features, const torch::Tensor& prototypes,
                         double temperature, double eps) {
    const auto pass = features.is_cuda() ? &cuda_forward : &cpu_forward;
    return pass(features, prototypes, temperature, eps);
  }

  static std::tuple<torch::Tensor, torch::Tensor> backward(
      const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
      const Incoming& incoming, double temperature, double eps, Wanted wanted) {
    const auto pass = features.is_cuda() ? &cuda_backward : &cpu_backward;
    return pass(features, prototypes, forward, incoming, temperature, eps, wanted);
  }
};

namespace detail {

/// Passes::forward() and backward() as a node of the graph.
template <class Passes>
class Fused : public torch::autograd::Function<Fused<Passes>> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const torch::Tensor& features,
                                                const torch::Tensor& prototypes, double temperature,
                                                double eps) {
    const auto result = Passes::forward(features, prototypes, temperature, eps);
    context->set_materialize_grads(false);
    context->mark_non_differentiable({result.present});
    context->save_for_backward({features, prototypes, result.slots, result.scores,
                                result.inverse_norm, result.inverse_partition, result.totals});
    context->saved_data["temperature"] = temperature;
    context->saved_data["eps"] = eps;
    return {result.slots, result.scores, result.present};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto given = [&](std::size_t i) {
      return grads[i].defined() ? std::optional(grads[i]) : std::nullopt;
    };
    const auto compute = [&]() -> torch::autograd::variable_list {
      const Incoming incoming{given(0), given(1)};
      if (!incoming.slots && !incoming.scores) return {{}, {}, {}, {}};
      const auto [features, prototypes] = Passes::backward(
          saved[0], saved[1], {saved[2], saved[3], {}, saved[4], saved[5], saved[6]}, incoming,
          context->saved_data["temperature"].toDouble(), context->saved_data["eps"].toDouble(),
          {context->needs_input_grad(0), context->needs_input_grad(1)});
      return {features, prototypes, {}, {}};
    };
    return once_differentiable("semantic_grouping", {saved[0], saved[1], grads[0], grads[1]},
                               compute);
  }
};

}  // namespace detail

/// The same as reference(), of prototypes in float32 and features that choose() says yes to: also
/// half-precision ones, whose type the slots then have.
template <class Passes = DevicePasses>
std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> fused(const torch::Tensor& features,
                                                              const torch::Tensor& prototypes,
                                                              double temperature, double eps) {
  const bool differentiable =
      at::GradMode::is_enabled() && (features.requires_grad() || prototypes.requires_grad());
  if (!differentiable) {
    const auto result = Passes::forward(features, prototypes, temperature, eps);
    return {result.slots, result.scores, result.present};
  }
  const auto results = detail::Fused<Passes>::apply(features, prototypes, temperature, eps);
  return {results[0], results[1], results[2]};
}

}  // namespace slotcon::kernel::semantic_grouping
