// Batch norm by the statistics of its batch, a residual and a ReLU, in plain ATen operations.
#pragma once

#include <ATen/Context.h>
#include <torch/types.h>

namespace slotcon::kernel::batch_norm_relu {

/// The parameters and running statistics [C] of a batch norm, and its numbers.
struct Norm {
  torch::Tensor weight, bias, running_mean, running_var;
  double momentum, eps;
};

/// max(0, (x - mean) / sqrt(variance + eps) weight + bias + residual), the statistics those of each
/// channel over the batch, into which the running ones move. x [N,C,*]; the residual of the same
/// sizes, or undefined for none.
inline torch::Tensor reference(const torch::Tensor& x, const torch::Tensor& residual,
                               const Norm& norm) {
  auto y = at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var,
                          /*training=*/true, norm.momentum, norm.eps,
                          at::globalContext().userEnabledCuDNN());
  if (residual.defined()) y += residual;
  return y.relu_();
}

}  // namespace slotcon::kernel::batch_norm_relu
