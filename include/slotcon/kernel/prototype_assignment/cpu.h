// The cross entropy between given targets and the student's assignment on the CPU, with its
// gradient, in one pass.
#pragma once

#include <slotcon/kernel/cpu/compiled.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

namespace slotcon::kernel::prototype_assignment {

/// The loss of `reference`, float32, and its gradient by the student's scores, undefined unless
/// `with_gradient`; equal on any number of threads.
SLOTCON_CPU_KERNEL LossAndGradient cpu_cross_entropy(const torch::Tensor& student_scores,
                                                     const torch::Tensor& targets,
                                                     double temperature, bool with_gradient);

/// As `reference`, of float32 on the CPU; equal on any number of threads, differentiable once, by
/// the student's scores.
inline torch::Tensor fused(const torch::Tensor& student_scores, const torch::Tensor& targets,
                           double temperature, const char* who) {
  return loss_with_gradient(student_scores, who, [&](bool with_gradient) {
    return cpu_cross_entropy(student_scores, targets, temperature, with_gradient);
  });
}

}  // namespace slotcon::kernel::prototype_assignment

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/prototype_assignment/cpu_cross_entropy.h>
#endif
