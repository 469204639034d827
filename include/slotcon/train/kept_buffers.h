// A module's buffers as they were before a step that may turn out not to count.
#pragma once

#include <ATen/ops/_foreach_copy.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <vector>

namespace slotcon {

/// Copies of all buffers of a module, running statistics of batch norms above all, and the way back
/// to them. The module keeps its buffers, and their shapes and devices, for the life of the object.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::nn::Module& module) : buffers_(module.buffers()) {
    for (const auto& buffer : buffers_) copies_.push_back(at::empty_like(buffer));
    keep();
  }

  /// Copies the buffers as they are now.
  void keep() { copy(copies_, buffers_); }

  /// Makes the buffers what they were at the last keep().
  void restore() { copy(buffers_, copies_); }

 private:
  static void copy(std::vector<torch::Tensor>& to, const std::vector<torch::Tensor>& from) {
    if (to.empty()) return;
    const torch::NoGradGuard no_grad;
    at::_foreach_copy_(to, from);
  }

  std::vector<torch::Tensor> buffers_, copies_;
};

}  // namespace slotcon
