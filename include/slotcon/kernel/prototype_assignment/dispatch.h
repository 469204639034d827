// Chooses the implementation of the assignment's cross entropy.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/prototype_assignment/cpu.h>
#include <slotcon/kernel/prototype_assignment/reference.h>

namespace slotcon::kernel::prototype_assignment {

/// Whether a fused kernel can run on these scores. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& student_scores) {
  return choose_float32_on_cpu(student_scores);
}

}  // namespace slotcon::kernel::prototype_assignment
