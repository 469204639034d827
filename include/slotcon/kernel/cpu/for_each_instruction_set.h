// Includes the file SLOTCON_SIMD_FILE once for each instruction set, in which it finds
//
//   SLOTCON_SIMD_NAMESPACE  portable, avx2 or avx512: the namespace for its functions
//   SLOTCON_SIMD_WIDTH      floats in a vector
//   SLOTCON_SIMD            the attribute that each function needs to use those vectors
//   SLOTCON_SIMD_INLINE     the same for a small function that takes or gives vectors
//   SLOTCON_SIMD_BFLOAT16   where it is defined, the same with products of bfloat16, for functions
//                           to call where the processor has_bfloat16_products()
//
// The attribute belongs on plain functions and templates: GCC does not pass it on to lambdas. A
// file that is compiled this way looks as vector.h does. There is no #pragma once here on purpose.
#ifdef SLOTCON_SIMD_FILE

#define SLOTCON_SIMD_INLINE SLOTCON_SIMD __attribute__((always_inline)) inline

#define SLOTCON_SIMD_NAMESPACE portable
#define SLOTCON_SIMD_WIDTH 4
#define SLOTCON_SIMD
#include SLOTCON_SIMD_FILE
#undef SLOTCON_SIMD_NAMESPACE
#undef SLOTCON_SIMD_WIDTH
#undef SLOTCON_SIMD

#if defined(__x86_64__)

#define SLOTCON_SIMD_NAMESPACE avx2
#define SLOTCON_SIMD_WIDTH 8
#define SLOTCON_SIMD __attribute__((target("avx2,fma")))
#include SLOTCON_SIMD_FILE
#undef SLOTCON_SIMD_NAMESPACE
#undef SLOTCON_SIMD_WIDTH
#undef SLOTCON_SIMD

#define SLOTCON_SIMD_NAMESPACE avx512
#define SLOTCON_SIMD_WIDTH 16
#define SLOTCON_SIMD __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define SLOTCON_SIMD_BFLOAT16 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#include SLOTCON_SIMD_FILE
#undef SLOTCON_SIMD_NAMESPACE
#undef SLOTCON_SIMD_WIDTH
#undef SLOTCON_SIMD
#undef SLOTCON_SIMD_BFLOAT16

#endif

#undef SLOTCON_SIMD_INLINE
#undef SLOTCON_SIMD_FILE

#endif
