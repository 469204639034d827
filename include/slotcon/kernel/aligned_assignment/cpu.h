// The assignment distillation between aligned views on the CPU, in one pass over each image.
#pragma once

#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/cpu/compiled.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

namespace slotcon::kernel::aligned_assignment {

/// The loss of `reference`, float32, and its gradient by the student's scores, undefined unless
/// `with_gradient`; equal on any number of threads.
SLOTCON_CPU_KERNEL LossAndGradient cpu_distill(const View& student, const View& teacher,
                                               const torch::Tensor& center,
                                               const Temperatures& temperatures,
                                               bool with_gradient);

}  // namespace slotcon::kernel::aligned_assignment

#if !defined(SLOTCON_COMPILED)
#include <slotcon/kernel/aligned_assignment/cpu_distillation.h>
#endif
