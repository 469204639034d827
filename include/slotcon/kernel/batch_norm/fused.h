// Batch norm and its activation by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/batch_norm/cpu.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>

namespace slotcon::kernel::batch_norm {

namespace detail {

class Fused : public torch::autograd::Function<Fused> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const std::optional<torch::Tensor>& residual,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const Norm& norm, Activation activation) {
    const auto pass = cpu_forward(x, residual.value_or(torch::Tensor()), norm, activation);
    const auto y = activation == Activation::kAddRelu ? pass.y : torch::Tensor();
    context->save_for_backward({x, weight, bias, y, pass.mean, pass.inverse_deviation});
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    return pass.y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_result) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto compute = [&]() -> torch::autograd::variable_list {
      const auto by_y = by_result[0].contiguous(x.suggest_memory_format());
      const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
      const auto gradients =
          cpu_backward(by_y, x, weight, bias, {saved[3], saved[4], saved[5]}, activation);
      return {gradients.x, gradients.residual, gradients.weight, gradients.bias, {}, {}};
    };
    return once_differentiable("BatchNorm", {x, weight, bias, by_result[0]}, compute);
  }
};

}  // namespace detail

/// The same as reference(), where choose() says yes.
inline torch::Tensor fused(const torch::Tensor& x, const torch::Tensor& residual, const Norm& norm,
                           Activation activation) {
  const auto takes_gradient = [](const torch::Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  const bool differentiable =
      at::GradMode::is_enabled() && (takes_gradient(x) || takes_gradient(residual) ||
                                     takes_gradient(norm.weight) || takes_gradient(norm.bias));
  if (!differentiable) return cpu_forward(x, residual, norm, activation).y;
  const auto maybe = residual.defined() ? std::optional(residual) : std::nullopt;
  return detail::Fused::apply(x, maybe, norm.weight, norm.bias, norm, activation);
}

}  // namespace slotcon::kernel::batch_norm
