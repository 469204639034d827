// Chooses the implementation of the assignment distillation between aligned views.
#pragma once

#include <slotcon/kernel/aligned_assignment/cpu.h>
#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/choice.h>

namespace slotcon::kernel::aligned_assignment {

/// Whether a fused kernel can run on these student scores. Pure: launches and allocates nothing.
/// Half types count as float32, to which the loss converts them.
inline Choice choose(const torch::Tensor& student_scores) {
  if (!student_scores.is_cpu() || student_scores.scalar_type() == torch::kDouble) {
    return no_kernel_for(student_scores);
  }
  return {true, ""};
}

}  // namespace slotcon::kernel::aligned_assignment
