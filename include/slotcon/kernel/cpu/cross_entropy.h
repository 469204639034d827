// The cross entropy of a softmax to given targets and its gradient, along the K classes of a row.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_CROSS_ENTROPY_H
#define SLOTCON_KERNEL_CPU_CROSS_ENTROPY_H
#include <slotcon/kernel/cpu/exp.h>

#include <algorithm>
#include <cmath>

namespace slotcon::kernel::cpu {

/// Rows are padded to multiples of this, the widest vector.
constexpr Index kLogitPadding = 16;

/// The logit of what pads a row: finite, and its exponential is 0.
constexpr float kAbsentLogit = -1e30f;

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/cross_entropy.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// The largest of the lanes. Like sums() it stays in registers, as rows can be short.
SLOTCON_SIMD_INLINE float max(Vector value) {
  for (Index left = kWidth; left > 1; left /= 2) {
    const Vector low = zip_low(value, value), high = zip_high(value, value);
    value = low > high ? low : high;
  }
  return value[0];
}

/// The lanes of a and b by turns, each the sum of two.
SLOTCON_SIMD_INLINE Vector fold(Vector a, Vector b) { return zip_low(a, b) + zip_high(a, b); }

struct Sums {
  float a, b, c;
};

/// The sums of the lanes of three vectors.
SLOTCON_SIMD_INLINE Sums sums(Vector a, Vector b, Vector c) {
  Vector folded = fold(fold(a, c), fold(b, c));
  for (Index left = kWidth / 4; left > 1; left /= 2) folded = fold(folded, folded);
  return {folded[0], folded[kWidth / 4], folded[kWidth / 2]};
}

/// scores <- (scores - the largest of them) * scale, of `count` scores in a row of `stride`.
SLOTCON_SIMD inline void make_logits(float* scores, Index count, Index stride, float scale) {
  std::fill(scores + count, scores + stride, kAbsentLogit);
  Vector largest = load(scores);
  for (Index k = kWidth; k < stride; k += kWidth) {
    const Vector score = load(scores + k);
    largest = score > largest ? score : largest;
  }
  const float top = max(largest);
  for (Index k = 0; k < stride; k += kWidth) {
    const Vector logit = (load(scores + k) - top) * scale;
    store(scores + k, logit < kAbsentLogit ? broadcast(kAbsentLogit) : logit);
  }
}

/// Logits <- their exponentials; the sum of those.
SLOTCON_SIMD inline float exponentiate(float* logits, Index stride) {
  Vector total{};
  for (Index k = 0; k < stride; k += kWidth) {
    const Vector value = exp_negative(load(logits + k));
    total += value;
    store(logits + k, value);
  }
  return sum(total);
}

/// sum_k t_k (log sum_j e^l_j - l_k) of targets t and logits l, which are overwritten. With
/// `gradient` [stride], which may be `logits` itself, also gradient_scale times the gradient by the
/// logits. The padding's targets are 0.
SLOTCON_SIMD inline float cross_entropy(const float* targets, Index stride, float gradient_scale,
                                        float* logits, float* gradient) {
  Vector exponentials{}, shares{}, agreement{};
  for (Index k = 0; k < stride; k += kWidth) {
    const Vector logit = load(logits + k);
    const Vector target = load(targets + k);
    const Vector exponential = exp_negative(logit);
    exponentials += exponential;
    shares += target;
    agreement += target * logit;
    store(logits + k, exponential);
  }
  const auto [partition, share, agreed] = sums(exponentials, shares, agreement);
  if (gradient != nullptr) {
    const float scale = gradient_scale * share / partition;
    for (Index k = 0; k < stride; k += kWidth) {
      store(gradient + k, load(logits + k) * scale - load(targets + k) * gradient_scale);
    }
  }
  return share * std::log(partition) - agreed;
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
