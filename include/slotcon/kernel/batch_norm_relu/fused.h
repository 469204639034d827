// Batch norm, residual and ReLU by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/batch_norm_relu/cpu.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <optional>

namespace slotcon::kernel::batch_norm_relu {

namespace detail {

class Fused : public torch::autograd::Function<Fused> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const std::optional<torch::Tensor>& residual,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const Norm& norm) {
    const auto pass = cpu_forward(x, residual.value_or(torch::Tensor()), norm);
    context->save_for_backward(
        {x, weight, bias, residual ? pass.y : torch::Tensor(), pass.mean, pass.inverse_deviation});
    return pass.y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_result) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto compute = [&]() -> torch::autograd::variable_list {
      const auto by_y = by_result[0].contiguous(torch::MemoryFormat::ChannelsLast);
      const auto gradients = cpu_backward(by_y, x, weight, bias, {saved[3], saved[4], saved[5]});
      return {gradients.x, gradients.residual, gradients.weight, gradients.bias, {}};
    };
    return once_differentiable("BatchNorm::forward_relu", {x, weight, bias, by_result[0]}, compute);
  }
};

}  // namespace detail

/// The same as reference(), where choose() says yes.
inline torch::Tensor fused(const torch::Tensor& x, const torch::Tensor& residual,
                           const Norm& norm) {
  const auto takes_gradient = [](const torch::Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  const bool differentiable =
      at::GradMode::is_enabled() && (takes_gradient(x) || takes_gradient(residual) ||
                                     takes_gradient(norm.weight) || takes_gradient(norm.bias));
  if (!differentiable) return cpu_forward(x, residual, norm).y;
  const auto maybe = residual.defined() ? std::optional(residual) : std::nullopt;
  return detail::Fused::apply(x, maybe, norm.weight, norm.bias, norm);
}

}  // namespace slotcon::kernel::batch_norm_relu
