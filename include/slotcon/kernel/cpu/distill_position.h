// The distillation of one position: two samples of score maps, their softmaxes, the cross entropy
// and its gradient, along the K prototypes.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_DISTILL_POSITION_H
#define SLOTCON_KERNEL_CPU_DISTILL_POSITION_H
#include <slotcon/kernel/cpu/cross_entropy.h>

namespace slotcon::kernel::cpu {

/// The numbers of a distillation over K prototypes; `stride` is K rounded up to kLogitPadding.
struct Distillation {
  Index prototypes, stride;
  const float* center;                 // [stride]
  float student_scale, teacher_scale;  // 1 / temperature
  float gradient_scale;                // what the gradient by a student's score is multiplied with
};

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/distill_position.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// The loss of one position from the samples of both views in `student` and `teacher` [stride],
/// which are overwritten; with `gradient` [stride], also that by the student's sample.
SLOTCON_SIMD inline float distill(const Distillation& distillation, float* student, float* teacher,
                                  float* gradient) {
  const Index prototypes = distillation.prototypes, stride = distillation.stride;
  for (Index k = 0; k < stride; k += kWidth) {
    store(teacher + k, load(teacher + k) - load(distillation.center + k));
  }
  make_logits(student, prototypes, stride, distillation.student_scale);
  make_logits(teacher, prototypes, stride, distillation.teacher_scale);
  const float total = exponentiate(teacher, stride);
  return cross_entropy(teacher, stride, distillation.gradient_scale / total, student, gradient) /
         total;
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
