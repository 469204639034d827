// What the steps of optimisers begin with.
#pragma once

#include <torch/optim/optimizer.h>
#include <torch/types.h>

namespace slotcon::detail {

/// What the closure of a step gives, computed with gradients; undefined without one.
inline torch::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure) {
  if (!closure) return {};
  const at::AutoGradMode with_gradient(true);
  return closure();
}

}  // namespace slotcon::detail
