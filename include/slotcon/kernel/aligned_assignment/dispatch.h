// Chooses the implementation of the assignment distillation between aligned views.
#pragma once

#include <slotcon/kernel/aligned_assignment/fused.h>
#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/choice.h>

#include <sstream>

namespace slotcon::kernel::aligned_assignment {

/// Whether a fused kernel can run on these student scores [B,K,H,W]. Pure: launches and allocates
/// nothing.
inline Choice choose(const torch::Tensor& student_scores) {
  const auto choice = choose_by_device(student_scores);
  if (!choice.fused || !student_scores.is_cuda()) return choice;
  const auto prototypes = student_scores.size(1);
  const auto sides = student_scores.size(2) + student_scores.size(3);
  if (prototypes <= kMostPrototypes && sides <= kMostRowsAndColumns) return choice;
  std::ostringstream why_not;
  why_not << "the kernel needs at most " << kMostPrototypes
          << " prototypes and H + W <= " << kMostRowsAndColumns << ", got "
          << student_scores.sizes();
  return {false, why_not.str()};
}

}  // namespace slotcon::kernel::aligned_assignment
