// Semantic grouping by the fused kernel, as a differentiable function.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/kernel/semantic_grouping/cpu.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <optional>
#include <tuple>

namespace slotcon::kernel::semantic_grouping {

namespace detail {

/// The backward pass as a function of its own, so that to differentiate it is an error instead of
/// a gradient that is silently 0.
class FusedBackward : public torch::autograd::Function<FusedBackward> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* /*context*/,
                                                const torch::Tensor& features,
                                                const torch::Tensor& prototypes,
                                                const Forward& results,
                                                const std::optional<torch::Tensor>& grad_slots,
                                                const std::optional<torch::Tensor>& grad_scores,
                                                double temperature, double eps, Wanted wanted) {
    const auto [grad_features, grad_prototypes] = cpu_backward(
        features, prototypes, results, {grad_slots, grad_scores}, temperature, eps, wanted);
    torch::autograd::variable_list gradients;  // of the wanted ones
    if (wanted.features) gradients.push_back(grad_features);
    if (wanted.prototypes) gradients.push_back(grad_prototypes);
    return gradients;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* /*context*/,
                                                 const torch::autograd::variable_list& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false,
                                "semantic_grouping: double backward needs Backend::kReference");
  }
};

class Fused : public torch::autograd::Function<Fused> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const torch::Tensor& features,
                                                const torch::Tensor& prototypes, double temperature,
                                                double eps) {
    const auto result = cpu_forward(features, prototypes, temperature, eps);
    context->set_materialize_grads(false);
    context->mark_non_differentiable({result.present});
    context->save_for_backward({features, prototypes, result.slots, result.scores, result.present,
                                result.inverse_norm, result.inverse_partition, result.totals});
    context->saved_data["temperature"] = temperature;
    context->saved_data["eps"] = eps;
    return {result.slots, result.scores, result.present};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    if (!grads[0].defined() && !grads[1].defined()) return torch::autograd::variable_list(4);
    const auto given = [&](std::size_t i) {
      return grads[i].defined() ? std::optional(grads[i]) : std::nullopt;
    };
    const auto saved = context->get_saved_variables();
    const Wanted wanted{context->needs_input_grad(0), context->needs_input_grad(1)};
    const auto gradients = FusedBackward::apply(
        saved[0], saved[1], Forward{saved[2], saved[3], saved[4], saved[5], saved[6], saved[7]},
        given(0), given(1), context->saved_data["temperature"].toDouble(),
        context->saved_data["eps"].toDouble(), wanted);
    return {wanted.features ? gradients.front() : torch::Tensor(),
            wanted.prototypes ? gradients.back() : torch::Tensor(), torch::Tensor(),
            torch::Tensor()};
  }
};

}  // namespace detail

/// The same as reference(), of prototypes in float32 and features that choose() says yes to: also
/// half-precision ones, whose type the slots then have.
inline std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> fused(
    const torch::Tensor& features, const torch::Tensor& prototypes, double temperature,
    double eps) {
  const bool differentiable =
      at::GradMode::is_enabled() && (features.requires_grad() || prototypes.requires_grad());
  if (!differentiable) {
    const auto result = cpu_forward(features, prototypes, temperature, eps);
    return {result.slots, result.scores, result.present};
  }
  const auto results = detail::Fused::apply(features, prototypes, temperature, eps);
  return {results[0], results[1], results[2]};
}

}  // namespace slotcon::kernel::semantic_grouping
