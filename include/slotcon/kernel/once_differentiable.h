// Makes the gradients of a fused kernel refuse to be differentiated again.
#pragma once

#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace slotcon::kernel {

namespace detail {

inline torch::autograd::variable_list defined_of(const torch::autograd::variable_list& tensors) {
  torch::autograd::variable_list defined;
  std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(defined),
               [](const torch::Tensor& tensor) { return tensor.defined(); });
  return defined;
}

class OnceDifferentiable : public torch::autograd::Function<OnceDifferentiable> {
 public:
  template <class Compute>
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                at::TensorList /*inputs*/, const std::string& who,
                                                const Compute& compute) {
    context->saved_data["who"] = who;
    return compute();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, context->saved_data["who"].toStringRef(),
                                ": double backward needs Backend::kReference");
  }
};

}  // namespace detail

/// The gradients that `compute()` returns, undefined ones among them or not, as one node of the
/// graph over `inputs`: all that they depend on, the inputs of the kernel that take a gradient and
/// the gradients that come in; undefined ones count for nothing. To differentiate the result by any
/// of them throws c10::NotImplementedError in the name of the loss `who`. `compute` runs at once
/// and without gradient.
///
/// For the backward of a torch::autograd::Function, whose own results would be constants: a second
/// derivative would be silently 0.
template <class Compute>
torch::autograd::variable_list once_differentiable(const std::string& who,
                                                   const torch::autograd::variable_list& inputs,
                                                   const Compute& compute) {
  torch::autograd::variable_list gradients;
  const auto linked = detail::defined_of(inputs);
  const auto nodes = detail::OnceDifferentiable::apply(at::TensorList(linked), who, [&] {
    gradients = compute();
    return detail::defined_of(gradients);
  });
  auto node = nodes.begin();
  for (auto& gradient : gradients) {
    if (gradient.defined()) gradient = *node++;
  }
  return gradients;
}

}  // namespace slotcon::kernel
