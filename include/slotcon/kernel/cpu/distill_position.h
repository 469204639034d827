// The distillation of one position: two samples of score maps, their softmaxes, the cross entropy
// and its gradient, along the K prototypes.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_DISTILL_POSITION_H
#define SLOTCON_KERNEL_CPU_DISTILL_POSITION_H
#include <slotcon/kernel/cpu/exp.h>
#include <slotcon/kernel/cpu/sampling.h>

#include <cmath>

namespace slotcon::kernel::cpu {

/// What pads the rows of a distillation: whole groups of the widest vectors.
constexpr Index kDistillPadding = 64;

/// The logit of what pads a row: finite, and its exponential is 0.
constexpr float kAbsentLogit = -1e30f;

/// The numbers of a distillation over K prototypes, rows of `stride` >= K floats.
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

/// result [stride] = the sum of the rows of `maps` [*,stride] that the taps name, weighted.
SLOTCON_SIMD inline void sample_row(const float* maps, Index stride, const Tap* begin,
                                    const Tap* end, float* result) {
  for (Index k = 0; k < stride; k += 4 * kWidth) {
    Vector sums[4] = {};
    for (const Tap* tap = begin; tap != end; ++tap) {
      const float* row = maps + tap->index * stride + k;
      for (Index i = 0; i < 4; ++i) sums[i] += load(row + i * kWidth) * tap->weight;
    }
    for (Index i = 0; i < 4; ++i) store(result + k + i * kWidth, sums[i]);
  }
}

/// scores <- (scores - the largest of them) * scale.
SLOTCON_SIMD inline void make_logits(float* scores, Index count, float scale) {
  Vector largest = load(scores);
  for (Index k = kWidth; k < count; k += kWidth) {
    const Vector score = load(scores + k);
    largest = score > largest ? score : largest;
  }
  float top = largest[0];
  for (Index i = 1; i < kWidth; ++i) top = std::max(top, static_cast<float>(largest[i]));
  for (Index k = 0; k < count; k += kWidth) {
    const Vector logit = (load(scores + k) - top) * scale;
    store(scores + k, logit < kAbsentLogit ? broadcast(kAbsentLogit) : logit);
  }
}

/// -sum_k t_k log p_k of the logits' softmaxes p and t, which the rows [stride] hold until they are
/// overwritten with exponentials; with `gradient` [stride], also gradient_scale * (p - t).
SLOTCON_SIMD inline float cross_entropy(const Distillation& distillation, float* student,
                                        float* teacher, float* gradient) {
  Vector student_sum{}, teacher_sum{}, agreement{};
  for (Index k = 0; k < distillation.stride; k += kWidth) {
    const Vector logit = load(student + k);
    const Vector p = exp_negative(logit);
    const Vector t = exp_negative(load(teacher + k));
    student_sum += p;
    teacher_sum += t;
    agreement += t * logit;
    store(student + k, p);
    store(teacher + k, t);
  }
  const float p_total = sum(student_sum);
  const float t_total = sum(teacher_sum);
  if (gradient != nullptr) {
    const float p_share = distillation.gradient_scale / p_total;
    const float t_share = distillation.gradient_scale / t_total;
    for (Index k = 0; k < distillation.stride; k += kWidth) {
      store(gradient + k, load(student + k) * p_share - load(teacher + k) * t_share);
    }
  }
  return std::log(p_total) - sum(agreement) / t_total;
}

/// The loss of one position from the samples of both views in `student` and `teacher` [stride].
SLOTCON_SIMD inline float distill(const Distillation& distillation, float* student, float* teacher,
                                  float* gradient) {
  const Index stride = distillation.stride;
  for (Index k = 0; k < stride; k += kWidth) {
    store(teacher + k, load(teacher + k) - load(distillation.center + k));
  }
  for (Index k = distillation.prototypes; k < stride; ++k) {
    student[k] = kAbsentLogit;
    teacher[k] = kAbsentLogit;
  }
  make_logits(student, stride, distillation.student_scale);
  make_logits(teacher, stride, distillation.teacher_scale);
  return cross_entropy(distillation, student, teacher, gradient);
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
