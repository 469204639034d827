// The exact GELU and its derivative on vectors.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_GELU_H
#define SLOTCON_KERNEL_CPU_GELU_H
#include <slotcon/kernel/cpu/vector.h>

namespace slotcon::kernel::cpu {

/// f(x) = 1/2 + x P(x^2) / Q(x^2) for |x| <= kSaturated; 0 below and 1 above. Coefficients from
/// that of x^0 on. f - 1/2 is odd, so a fraction in x^2 does; all coefficients of Q are positive,
/// so nothing cancels there. Fitted to the maximum of |error| on a Chebyshev grid, in float64, by
/// least squares whose weights follow the error (Lawson).
struct Sigmoid {
  float numerator[6], denominator[6];
};

/// Where the sigmoids below are within 3e-7 of 0 or 1.
constexpr float kSaturated = 5.656854f;

/// The normal distribution (1 + erf(x / sqrt 2)) / 2, within 1.1e-8 before rounding.
constexpr Sigmoid kNormalDistribution{
    {0.398942213f, 0.0346913358f, 0.00472584093f, 0.000176927722f, 6.36473035e-06f,
     2.18192494e-08f},
    {1.0f, 0.253623864f, 0.0291185714f, 0.00193049659f, 7.60188337e-05f, 1.17127341e-06f}};

/// The derivative of x times it: itself + x exp(-x^2 / 2) / sqrt(2 pi), within 1.2e-7.
constexpr Sigmoid kGeluSlope{
    {0.797885352f, -0.0309857327f, 0.0142283449f, 1.94759947e-05f, 3.59304063e-05f,
     1.92584072e-07f},
    {1.0f, 0.294506646f, 0.0409821237f, 0.00352288582f, 0.000192049013f, 8.94142337e-06f}};

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/gelu.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

SLOTCON_SIMD_INLINE Vector polynomial(const float (&coefficients)[6], Vector x) {
  Vector value = broadcast(coefficients[5]);
#pragma GCC unroll 5
  for (int i = 4; i >= 0; --i) value = value * x + coefficients[i];
  return value;
}

SLOTCON_SIMD_INLINE Vector sigmoid(const Sigmoid& of, Vector x) {
  const Vector square = x * x;
  const Vector inner =
      polynomial(of.numerator, square) / polynomial(of.denominator, square) * x + 0.5f;
  const Vector or_one = x > kSaturated ? broadcast(1) : inner;
  return x < -kSaturated ? Vector{} : or_one;
}

/// x times the normal distribution at x. NaN stays NaN, -inf becomes it.
SLOTCON_SIMD_INLINE Vector gelu(Vector x) { return x * sigmoid(kNormalDistribution, x); }

/// Its derivative.
SLOTCON_SIMD_INLINE Vector gelu_slope(Vector x) { return sigmoid(kGeluSlope, x); }

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
