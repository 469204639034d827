// What the operators of losses by a student's scores share.
#pragma once

#include <python/ops/operators.h>
#include <slotcon/core/precision.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::ops {

/// A loss, 0-d, and its gradient by the student's scores, empty if not wanted: in the type that
/// both are computed in, and the gradient in the scores' order in memory.
using ScoreLoss = std::tuple<Tensor, Tensor>;

/// Of what a kernel gives.
inline ScoreLoss score_loss(const Tensor& scores, const kernel::LossAndGradient& result) {
  const auto& [loss, gradient] = result;
  return {loss, gradient.defined() ? in_order_of(scores, gradient) : no_result(loss)};
}

/// Of `loss_of(scores)`, for what no kernel computes.
template <class Loss>
ScoreLoss score_loss_by_autograd(const Tensor& scores, at::ScalarType type, bool with_gradient,
                                 const Loss& loss_of) {
  const auto leaf = leaf_of(scores, type);
  const auto [loss, gradients] = by_autograd({leaf}, with_gradient, [&] { return loss_of(leaf); });
  return score_loss(scores, {loss, gradients[0]});
}

/// The loss as a function of the scores: `pass(with_gradient)` gives a ScoreLoss.
template <class Pass>
Tensor differentiable(const Tensor& scores, const char* who, const Pass& pass) {
  return kernel::loss_with_gradient(scores, who, [&](bool with_gradient) {
    const auto [loss, gradient] = pass(with_gradient);
    return kernel::LossAndGradient(loss, gradient);
  });
}

}  // namespace slotcon::ops
