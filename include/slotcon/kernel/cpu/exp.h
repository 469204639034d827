// The exponential of a vector of negative numbers: what a softmax of bounded logits needs.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_EXP_H
#define SLOTCON_KERNEL_CPU_EXP_H
#include <slotcon/kernel/cpu/vector.h>
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/exp.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// e^x for x <= 0, or for an x that rounding has put a little above; within 1.3 units in the last
/// place. 0 below -87, where float32 comes to the end of its normal numbers. NaN stays NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial of degree 7, 2^n by its exponent bits.
SLOTCON_SIMD_INLINE Vector exp_negative(Vector x) {
  const IntVector n = __builtin_convertvector(x * 1.44269504f - 0.5f, IntVector);
  const Vector whole = __builtin_convertvector(n, Vector);
  // ln 2 in two parts, of which the first times any n here is exact
  const Vector r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Vector series = r * (1.0f / 5040) + (1.0f / 720);
  series = series * r + (1.0f / 120);
  series = series * r + (1.0f / 24);
  series = series * r + (1.0f / 6);
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const auto bits = reinterpret_cast<BitVector>(series) + (reinterpret_cast<BitVector>(n) << 23);
  const auto power = reinterpret_cast<Vector>(bits);
  return x < -87.0f ? Vector{} : power;
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
