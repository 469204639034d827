// Chooses the implementation of the assignment distillation between aligned views.
#pragma once

#include <slotcon/kernel/aligned_assignment/cpu.h>
#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/choice.h>

namespace slotcon::kernel::aligned_assignment {

/// Whether a fused kernel can run on these student scores. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& student_scores) {
  return choose_float32_on_cpu(student_scores);
}

}  // namespace slotcon::kernel::aligned_assignment
