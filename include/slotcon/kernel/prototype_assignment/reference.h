// Cross entropy between a teacher's and a student's prototype assignment in plain ATen operations.
#pragma once

#include <torch/types.h>

namespace slotcon::kernel::prototype_assignment {

/// The mean over rows of -sum_k target_k log softmax_k(student / temperature); [B,K,*] both, B and
/// * together not empty, one float type.
inline torch::Tensor reference(const torch::Tensor& student_scores, const torch::Tensor& targets,
                               double temperature) {
  const auto log_assignment = at::log_softmax(student_scores / temperature, 1);
  return -(targets * log_assignment).sum(1).mean();
}

}  // namespace slotcon::kernel::prototype_assignment
