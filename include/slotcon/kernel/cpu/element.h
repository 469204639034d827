// Numbers of the types that a kernel reads and writes, as the float32 that it computes in.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_ELEMENT_H
#define SLOTCON_KERNEL_CPU_ELEMENT_H
#include <slotcon/kernel/cpu/vector.h>

namespace slotcon::kernel::cpu {

/// How a number lies in memory.
enum class Element : std::int32_t { kFloat, kBFloat16, kHalf };

constexpr Index size_of(Element element) { return element == Element::kFloat ? 4 : 2; }

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/element.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

typedef std::uint16_t HalfVector __attribute__((vector_size(2 * SLOTCON_SIMD_WIDTH)));

SLOTCON_SIMD_INLINE Vector from_bfloat16(BitVector low) {
  return reinterpret_cast<Vector>(low << 16);
}

/// The exponent of a half is 112 lower than that of the float with the same bits in the same
/// places; the product also makes normal numbers of those that have no leading 1.
SLOTCON_SIMD_INLINE Vector from_half(BitVector low) {
  const BitVector magnitude = (low & 0x7fff) << 13, sign = (low & 0x8000) << 16;
  const Vector finite = reinterpret_cast<Vector>(magnitude) * 0x1p112f;
  const BitVector bits =
      magnitude >= 0x0f800000 ? magnitude | 0x7f800000 : reinterpret_cast<BitVector>(finite);
  return reinterpret_cast<Vector>(bits | sign);
}

/// Rounded to the nearest, ties to even; in the lower halves of the lanes.
SLOTCON_SIMD_INLINE BitVector to_bfloat16(Vector value) {
  const auto bits = reinterpret_cast<BitVector>(value);
  const BitVector rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return value == value ? rounded : BitVector{} + 0x7fc0;
}

/// The same of a half. Below its normal numbers, adding 0.5 leaves a float's last places to round.
SLOTCON_SIMD_INLINE BitVector to_half(Vector value) {
  const auto bits = reinterpret_cast<BitVector>(value);
  const BitVector sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const Vector shifted = reinterpret_cast<Vector>(magnitude) + 0.5f;
  const BitVector small = reinterpret_cast<BitVector>(shifted) - 0x3f000000;
  const BitVector normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  BitVector half = magnitude < 0x38800000 ? small : normal;
  half = magnitude >= 0x47800000 ? BitVector{} + 0x7c00 : half;
  half = magnitude > 0x7f800000 ? BitVector{} + 0x7e00 : half;
  return half | sign;
}

/// `count` <= kWidth numbers of 16 bits, in the lower halves of the lanes.
SLOTCON_SIMD_INLINE BitVector load_first_halves(const void* from, Index count) {
#if SLOTCON_SIMD_WIDTH == 16
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const auto low = reinterpret_cast<HalfVector>(_mm256_maskz_loadu_epi16(mask, from));
#else
  HalfVector low{};
  std::memcpy(&low, from, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
#endif
  return __builtin_convertvector(low, BitVector);
}

/// The first `count` <= kWidth elements of kBytes each; the other lanes are 0.
template <Index kBytes>
SLOTCON_SIMD_INLINE Vector load_first_of(const void* from, Element element, Index count) {
  if constexpr (kBytes == 4) {
    return load_first(static_cast<const float*>(from), count);
  } else {
    const BitVector low = load_first_halves(from, count);
    return element == Element::kBFloat16 ? from_bfloat16(low) : from_half(low);
  }
}

/// The same of elements of any size.
SLOTCON_SIMD_INLINE Vector load_elements(const void* from, Element element, Index count) {
  return element == Element::kFloat ? load_first_of<4>(from, element, count)
                                    : load_first_of<2>(from, element, count);
}

/// Writes the first `count` <= kWidth lanes.
SLOTCON_SIMD_INLINE void store_elements(void* to, Element element, Vector value, Index count) {
  if (element == Element::kFloat) {
    store_lanes(static_cast<float*>(to), value, count);
    return;
  }
  const BitVector bits = element == Element::kBFloat16 ? to_bfloat16(value) : to_half(value);
#if SLOTCON_SIMD_WIDTH == 16
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  _mm512_mask_cvtepi32_storeu_epi16(to, mask, reinterpret_cast<__m512i>(bits));
#else
  const HalfVector low = __builtin_convertvector(bits, HalfVector);
  std::memcpy(to, &low, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
#endif
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
