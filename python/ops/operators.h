// What the operators share.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cstddef>
#include <optional>

namespace slotcon::ops {

using kernel::LossAndGradients;
using torch::Tensor;
using torch::autograd::variable_list;

/// The operator of this name, whose signature is that of the function.
template <class Function>
auto find_operator(const char* name, Function* /*function*/) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

/// Whether the fused kernel is to run. Warns where CUDA kernels would and are not linked.
inline bool is_fused(const Tensor& input, const Choice& choice, const char* who) {
  return kernel::use_fused_on(input.device(), Backend::kAuto, choice, who);
}

/// `values` [B,C,*spatial] as a result lies in memory: channels last if `like`, of the same sizes,
/// is dense in that order, otherwise in the order of the sizes.
inline Tensor in_order_of(const Tensor& like, const Tensor& values) {
  const bool channels_last = like.movedim(1, -1).is_contiguous();
  return channels_last ? values.movedim(1, -1).contiguous().movedim(-1, 1) : values.contiguous();
}

/// What stands for a result that was not asked for: a schema has no undefined ones.
inline Tensor no_result(const Tensor& like) { return at::empty({0}, like.options()); }

/// Records a graph as long as it lives, also where kernels run below autograd.
class Recording {
 public:
  Recording() : keys_(keys_with_autograd()), graph_(true) {}

 private:
  static c10::impl::LocalDispatchKeySet keys_with_autograd() {
    auto keys = c10::impl::tls_local_dispatch_key_set();
    keys.excluded_ = keys.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView;
    return keys;
  }

  const c10::impl::ForceDispatchKeyGuard keys_;
  const at::AutoGradMode graph_;
};

inline Tensor leaf_of(const Tensor& input, at::ScalarType type) {
  return input.detach().to(type).requires_grad_();
}

/// The gradients by the leaves, 0 by one that the results do not depend on. `incoming` are those
/// by the results, none of a loss.
inline variable_list gradients_by(const variable_list& leaves, const variable_list& results,
                                  const variable_list& incoming) {
  auto gradients = torch::autograd::grad(results, leaves, incoming, /*retain_graph=*/std::nullopt,
                                         /*create_graph=*/false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = at::zeros_like(leaves[i]);
  }
  return gradients;
}

/// The loss that `loss_of()` makes of the leaves, with its gradients: for what no kernel computes.
template <class Loss>
LossAndGradients by_autograd(const variable_list& leaves, bool with_gradients,
                             const Loss& loss_of) {
  if (!with_gradients) {
    const at::NoGradGuard no_grad;
    return {loss_of(), variable_list(leaves.size())};
  }
  const Recording recording;
  const Tensor loss = loss_of();
  return {loss.detach(), gradients_by(leaves, {loss}, {})};
}

}  // namespace slotcon::ops
