// InfoNCE of slots in plain ATen operations.
#pragma once

#include <slotcon/core/unit_length.h>
#include <torch/types.h>

namespace slotcon::kernel::slot_info_nce {

/// mean_i(logsumexp_j l_ij - l_i,positive[i]) * 2 temperature, with l_ij the cosine of q_i and k_j
/// over the temperature, of queries [n,D] (n >= 1) and keys [m,D] of one float type, positive [n]
/// int64.
inline torch::Tensor reference(const torch::Tensor& queries, const torch::Tensor& keys,
                               const torch::Tensor& positive, double temperature) {
  const auto logits = at::matmul(unit_length(queries, 1), unit_length(keys, 1).t()) / temperature;
  return at::nll_loss(at::log_softmax(logits, 1), positive) * (2 * temperature);
}

}  // namespace slotcon::kernel::slot_info_nce
