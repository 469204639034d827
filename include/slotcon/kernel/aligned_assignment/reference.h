// Inverse augmentation of two views and the cross entropy between their assignments, in plain ATen
// operations.
#pragma once

#include <slotcon/kernel/inverse_augmentation/reference.h>
#include <slotcon/kernel/prototype_assignment/reference.h>
#include <torch/types.h>

namespace slotcon::kernel::aligned_assignment {

/// The score maps [B,K,H,W] of one view with the boxes [B,4] and flips [B] that bring them into
/// register; scores and boxes of one float type.
struct View {
  torch::Tensor scores, boxes, flipped;
};

/// The two divisors of the assignments, both > 0.
struct Temperatures {
  double student, teacher;
};

/// The mean over output positions of -sum_k t_k log softmax_k(S' / student) with
/// t = softmax_k((T' - center) / teacher); S', T' are the aligned maps, center [K], B H W >= 1.
inline torch::Tensor reference(const View& student, const View& teacher,
                               const torch::Tensor& center, const Temperatures& temperatures) {
  const auto aligned = [](const View& view) {
    return inverse_augmentation::reference(view.scores, view.boxes, view.flipped);
  };
  const auto centered = aligned(teacher) - center.view({1, -1, 1, 1});
  return prototype_assignment::reference(
      aligned(student), at::softmax(centered / temperatures.teacher, 1), temperatures.student);
}

}  // namespace slotcon::kernel::aligned_assignment
