// A loss whose kernel computes the gradients in the same pass.
#pragma once

#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <array>
#include <cstddef>
#include <string>
#include <utility>

namespace slotcon::kernel {

/// A 0-d loss and its gradient by one input, undefined where it was not asked for.
using LossAndGradient = std::pair<torch::Tensor, torch::Tensor>;

/// The same with the gradients by several inputs, in their order.
using LossAndGradients = std::pair<torch::Tensor, torch::autograd::variable_list>;

namespace detail {

class LossWithGradients : public torch::autograd::Function<LossWithGradients> {
 public:
  template <class Compute>
  static torch::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList inputs,
                               const std::string& who, const Compute& compute) {
    LossAndGradients result = compute();
    auto saved = std::move(result.second);
    saved.insert(saved.end(), inputs.begin(), inputs.end());
    context->save_for_backward(saved);
    context->saved_data["who"] = who;
    return result.first;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    const auto count = saved.size() / 2;  // gradients, then inputs
    torch::autograd::variable_list linked(saved.begin() + static_cast<std::ptrdiff_t>(count),
                                          saved.end());
    linked.push_back(by_loss[0]);
    return once_differentiable(context->saved_data["who"].toStringRef(), linked, [&] {
      torch::autograd::variable_list gradients(count + 2);
      for (std::size_t i = 0; i < count; ++i) {
        if (!saved[i].defined()) continue;
        gradients[i] = (saved[i] * by_loss[0]).to(saved[count + i].scalar_type());
      }
      return gradients;
    });
  }
};

}  // namespace detail

/// The loss that `compute(wanted)` gives with its gradients by `inputs`, as LossAndGradients:
/// `wanted[i]` says whether that by input i is asked for. A function of the inputs that is
/// differentiable once and whose backward pass only scales the gradients, which then get the
/// inputs' types. A second derivative throws c10::NotImplementedError in the name of the loss
/// `who`.
template <std::size_t count, class Compute>
torch::Tensor loss_with_gradients(const std::array<torch::Tensor, count>& inputs, const char* who,
                                  const Compute& compute) {
  std::array<bool, count> wanted;
  for (std::size_t i = 0; i < count; ++i) {
    wanted[i] = at::GradMode::is_enabled() && inputs[i].requires_grad();
  }
  return detail::LossWithGradients::apply(at::TensorList(inputs), std::string(who),
                                          [&] { return compute(wanted); });
}

/// The same of one input: `compute(with_gradient)` gives a LossAndGradient.
template <class Compute>
torch::Tensor loss_with_gradient(const torch::Tensor& input, const char* who,
                                 const Compute& compute) {
  return loss_with_gradients(std::array{input}, who, [&](const std::array<bool, 1>& wanted) {
    LossAndGradient result = compute(wanted[0]);
    return LossAndGradients{std::move(result.first), {std::move(result.second)}};
  });
}

}  // namespace slotcon::kernel
