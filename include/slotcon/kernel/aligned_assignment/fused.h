// The assignment distillation by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/aligned_assignment/cpu.h>
#include <slotcon/kernel/aligned_assignment/cuda.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

namespace slotcon::kernel::aligned_assignment {

/// As `reference`, of float32 and what choose() says yes to; differentiable once.
inline torch::Tensor fused(const View& student, const View& teacher, const torch::Tensor& center,
                           const Temperatures& temperatures, const char* who) {
  const auto distill = student.scores.is_cuda() ? &cuda_distill : &cpu_distill;
  return loss_with_gradient(student.scores, who, [&](bool with_gradient) {
    return distill(student, teacher, center, temperatures, with_gradient);
  });
}

}  // namespace slotcon::kernel::aligned_assignment
