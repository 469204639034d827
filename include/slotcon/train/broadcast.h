// One state for all processes of a group.
#pragma once

#include <slotcon/core/collectives.h>
#include <torch/nn/module.h>
#include <torch/types.h>

namespace slotcon {

/// Gives the module the parameters and buffers that it has on rank 0; null: one process, no change.
/// Every process of the group calls it with a module of the same make.
inline void broadcast_state(torch::nn::Module& module, Collectives* collectives) {
  if (collectives == nullptr) return;
  const torch::NoGradGuard no_grad;
  const bool is_first = collectives->rank() == 0;
  const auto take = [&](torch::Tensor tensor) {
    const auto rows = tensor.reshape({-1}).slice(0, 0, is_first ? tensor.numel() : 0);
    tensor.copy_(collectives->all_gather_rows(rows)[0].view(tensor.sizes()));
  };
  for (const auto& parameter : module.parameters()) take(parameter);
  for (const auto& buffer : module.buffers()) take(buffer);
}

}  // namespace slotcon
