// Batch norm by the statistics of its batch and an activation, in plain ATen operations.
#pragma once

#include <ATen/Context.h>
#include <slotcon/kernel/activation.h>
#include <torch/types.h>

namespace slotcon::kernel::batch_norm {

/// The parameters and running statistics [C] of a batch norm, and its numbers.
struct Norm {
  torch::Tensor weight, bias, running_mean, running_var;
  double momentum, eps;
};

/// activation(u), which may be in the place of u. The residual is of the same sizes with kAddRelu,
/// else undefined.
inline torch::Tensor activated(torch::Tensor u, const torch::Tensor& residual,
                               Activation activation) {
  if (activation == Activation::kGelu) return at::gelu(u);
  if (activation == Activation::kAddRelu) u += residual;
  return u.relu_();
}

/// activation(u), u = (x - mean) / sqrt(variance + eps) weight + bias, the statistics those of each
/// channel over the batch, into which the running ones move. x [N,C,*].
inline torch::Tensor reference(const torch::Tensor& x, const torch::Tensor& residual,
                               const Norm& norm, Activation activation) {
  const auto u = at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var,
                                /*training=*/true, norm.momentum, norm.eps,
                                at::globalContext().userEnabledCuDNN());
  return activated(u, residual, activation);
}

}  // namespace slotcon::kernel::batch_norm
