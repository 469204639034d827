// Vectors of floats as wide as the instruction set has them, with the operators of the language.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_VECTOR_H
#define SLOTCON_KERNEL_CPU_VECTOR_H
#include <slotcon/kernel/cpu/instruction_set.h>
#include <slotcon/kernel/cpu/types.h>

#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/vector.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

constexpr Index kWidth = SLOTCON_SIMD_WIDTH;

typedef float Vector __attribute__((vector_size(4 * SLOTCON_SIMD_WIDTH)));
typedef std::int32_t IntVector __attribute__((vector_size(4 * SLOTCON_SIMD_WIDTH)));
typedef std::uint32_t BitVector __attribute__((vector_size(4 * SLOTCON_SIMD_WIDTH)));
typedef float UnalignedVector
    __attribute__((vector_size(4 * SLOTCON_SIMD_WIDTH), aligned(4), may_alias));

SLOTCON_SIMD_INLINE Vector load(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}
SLOTCON_SIMD_INLINE void store(float* to, Vector value) {
  *reinterpret_cast<UnalignedVector*>(to) = value;
}
SLOTCON_SIMD_INLINE Vector broadcast(float value) { return value - Vector{}; }

/// The value itself, in a register whatever becomes of it. Where a choice follows, compilers make a
/// load under a mask, which processors do not fetch ahead of.
SLOTCON_SIMD_INLINE Vector loaded(Vector value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#endif
  return value;
}

/// 0 1 2 ...
SLOTCON_SIMD_INLINE IntVector lane_numbers() {
  IntVector lane;
  for (std::int32_t i = 0; i < kWidth; ++i) lane[i] = i;
  return lane;
}

/// All bits of the first `count` lanes, none of the others.
SLOTCON_SIMD_INLINE IntVector first_lanes(Index count) {
  return lane_numbers() < IntVector{} + static_cast<std::int32_t>(count);
}

/// The first `count` lanes; the others are 0.
SLOTCON_SIMD_INLINE Vector load_first(const float* from, Index count) {
#if SLOTCON_SIMD_WIDTH == 16
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif SLOTCON_SIMD_WIDTH == 8
  return _mm256_maskload_ps(from, reinterpret_cast<__m256i>(first_lanes(count)));
#else
  if (count == kWidth) return load(from);
  Vector value{};
  std::memcpy(&value, from, static_cast<std::size_t>(count) * sizeof(float));
  return value;
#endif
}
SLOTCON_SIMD_INLINE void store_first(float* to, Vector value, Index count) {
#if SLOTCON_SIMD_WIDTH == 16
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
#elif SLOTCON_SIMD_WIDTH == 8
  _mm256_maskstore_ps(to, reinterpret_cast<__m256i>(first_lanes(count)), value);
#else
  std::memcpy(to, &value, static_cast<std::size_t>(count) * sizeof(float));
#endif
}

/// The same, quicker where `count` is kWidth most of the time.
SLOTCON_SIMD_INLINE Vector load_lanes(const float* from, Index count) {
  return count == kWidth ? load(from) : load_first(from, count);
}
SLOTCON_SIMD_INLINE void store_lanes(float* to, Vector value, Index count) {
  if (count == kWidth) {
    store(to, value);
  } else {
    store_first(to, value, count);
  }
}

/// The sum of the lanes, in pairs.
SLOTCON_SIMD_INLINE float sum(Vector value) {
  float lanes[kWidth];
  store(lanes, value);
  for (Index half = kWidth / 2; half > 0; half /= 2) {
    for (Index i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

/// a0 b0 a1 b1 ...: of the lower half of the lanes, and of the upper.
#if SLOTCON_SIMD_WIDTH == 4
SLOTCON_SIMD_INLINE Vector zip_low(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
SLOTCON_SIMD_INLINE Vector zip_high(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
#elif SLOTCON_SIMD_WIDTH == 8
SLOTCON_SIMD_INLINE Vector zip_low(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
SLOTCON_SIMD_INLINE Vector zip_high(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
#else
SLOTCON_SIMD_INLINE Vector zip_low(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
SLOTCON_SIMD_INLINE Vector zip_high(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}
#endif

/// The sum of a[i] b[i], in as many chains of additions as four vectors have lanes.
SLOTCON_SIMD inline float dot(const float* a, const float* b, Index count) {
  Vector chain[4] = {};
  Index i = 0;
  for (; i + 4 * kWidth <= count; i += 4 * kWidth) {
#pragma GCC unroll 4
    for (Index j = 0; j < 4; ++j) {
      chain[j] = load(a + i + j * kWidth) * load(b + i + j * kWidth) + chain[j];
    }
  }
  for (; i < count; i += kWidth) {
    const Index lanes = count - i < kWidth ? count - i : kWidth;
    chain[0] = load_first(a + i, lanes) * load_first(b + i, lanes) + chain[0];
  }
  return sum((chain[0] + chain[1]) + (chain[2] + chain[3]));
}

/// Transposes a square of kWidth vectors. To zip its halves rotates the bits of an element's
/// address (row, column) by one; as many rotations as a column has bits exchange the two.
SLOTCON_SIMD_INLINE void transpose(Vector (&rows)[kWidth]) {
#pragma GCC unroll 4
  for (Index step = 1; step < kWidth; step *= 2) {
    Vector zipped[kWidth];
#pragma GCC unroll 8
    for (Index i = 0; i < kWidth / 2; ++i) {
      zipped[2 * i] = zip_low(rows[i], rows[i + kWidth / 2]);
      zipped[2 * i + 1] = zip_high(rows[i], rows[i + kWidth / 2]);
    }
#pragma GCC unroll 16
    for (Index i = 0; i < kWidth; ++i) rows[i] = zipped[i];
  }
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
