// Makes the gradient of a fused kernel refuse to be differentiated again.
#pragma once

#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <string>

namespace slotcon::kernel {

/// The identity on `gradient`, which belongs to `input` of the loss `who`. To differentiate it
/// throws c10::NotImplementedError: a fused kernel's gradient is a number, not an expression.
///
/// For the end of the backward of a torch::autograd::Function: without it a second derivative would
/// be silently 0.
class OnceDifferentiable : public torch::autograd::Function<OnceDifferentiable> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& gradient, const torch::Tensor& /*input*/,
                               const std::string& who) {
    context->saved_data["who"] = who;
    return gradient.alias();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& /*grad*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, context->saved_data["who"].toStringRef(),
                                ": double backward needs Backend::kReference");
  }
};

}  // namespace slotcon::kernel
