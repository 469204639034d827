// A loss whose kernel computes the gradient in the same pass.
#pragma once

#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <string>
#include <utility>

namespace slotcon::kernel {

/// A 0-d loss and its gradient by one input, undefined where it was not asked for.
using LossAndGradient = std::pair<torch::Tensor, torch::Tensor>;

namespace detail {

class LossWithGradient : public torch::autograd::Function<LossWithGradient> {
 public:
  template <class Compute>
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& input, const std::string& who,
                               const Compute& compute, bool with_gradient) {
    const LossAndGradient result = compute(with_gradient);
    if (with_gradient) context->save_for_backward({result.second, input});
    context->saved_data["who"] = who;
    return result.first;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    return once_differentiable(
        context->saved_data["who"].toStringRef(), {saved[1], by_loss[0]}, [&] {
          return torch::autograd::variable_list{saved[0] * by_loss[0], {}, {}, {}};
        });
  }
};

}  // namespace detail

/// The loss that `compute(with_gradient)` gives with its gradient by `input`, as a LossAndGradient:
/// a function of `input` that is differentiable once and whose backward pass only scales the
/// gradient. A second derivative throws c10::NotImplementedError in the name of the loss `who`.
template <class Compute>
torch::Tensor loss_with_gradient(const torch::Tensor& input, const char* who,
                                 const Compute& compute) {
  const bool with_gradient = at::GradMode::is_enabled() && input.requires_grad();
  return detail::LossWithGradient::apply(input, std::string(who), compute, with_gradient);
}

}  // namespace slotcon::kernel
