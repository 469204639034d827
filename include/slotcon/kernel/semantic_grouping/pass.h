// What the passes of a fused semantic grouping take and give, on every device.
#pragma once

#include <torch/types.h>

#include <optional>

namespace slotcon::kernel::semantic_grouping {

/// The results, and the small vectors that the backward pass needs on top. Slots have the type of
/// the features, all numbers else are float32.
struct Forward {
  torch::Tensor slots;              // [B,K,D]
  torch::Tensor scores;             // [B,K,N] that lies in memory as [B,N,K]
  torch::Tensor present;            // [B,K] bool: wins at least one position
  torch::Tensor inverse_norm;       // [B,N]  1 / |x_n|
  torch::Tensor inverse_partition;  // [B,N]  1 / sum_k e^((score - 1) / temperature)
  torch::Tensor totals;             // [B,K]  sum_n a
};

/// The gradients that the backward pass starts from; either may be missing.
struct Incoming {
  std::optional<torch::Tensor> slots;   // [B,K,D]
  std::optional<torch::Tensor> scores;  // [B,K,N]
};

/// Which gradients the backward pass is to compute.
struct Wanted {
  bool features, prototypes;
};

}  // namespace slotcon::kernel::semantic_grouping
