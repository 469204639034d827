// Which vector instructions the kernels use, found at run time: no -march flag is needed.
#pragma once

#include <atomic>

namespace slotcon::kernel::cpu {

/// What a kernel is compiled for.
enum class InstructionSet {
  kPortable,  ///< what the compiler's own flags allow
  kAvx2,      ///< AVX2 and FMA
  kAvx512,    ///< AVX-512 F, BW, DQ and VL
};

/// The best instruction set of this processor.
inline InstructionSet best_instruction_set() {
#if defined(__x86_64__)
  static const InstructionSet best = [] {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
      return InstructionSet::kPortable;
    }
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
  }();
  return best;
#else
  return InstructionSet::kPortable;
#endif
}

namespace detail {

inline std::atomic<InstructionSet>& current_instruction_set() {
  static std::atomic<InstructionSet> current{best_instruction_set()};
  return current;
}

}  // namespace detail

/// The instruction set that the kernels use.
inline InstructionSet instruction_set() { return detail::current_instruction_set(); }

/// Makes every kernel of this process use `set`, which the processor must have.
inline void force_instruction_set_for_testing(InstructionSet set) {
  detail::current_instruction_set() = set;
}

/// Whether the kernels can multiply in bfloat16, sums in float32.
inline bool has_bfloat16_products() {
#if defined(__x86_64__)
  static const bool here = __builtin_cpu_supports("avx512bf16");
  return here && instruction_set() == InstructionSet::kAvx512;
#else
  return false;
#endif
}

/// The one of three functions that is compiled for instruction_set().
template <class Function>
Function* select(Function* portable, Function* avx2, Function* avx512) {
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return avx512;
    case InstructionSet::kAvx2:
      return avx2;
    case InstructionSet::kPortable:
      break;
  }
  return portable;
}

}  // namespace slotcon::kernel::cpu

/// The pointer to a function of the namespace portable, avx2 or avx512, whichever
/// instruction_set() names (see for_each_instruction_set.h).
#if defined(__x86_64__)
#define SLOTCON_SIMD_SELECT(...) \
  ::slotcon::kernel::cpu::select(&portable::__VA_ARGS__, &avx2::__VA_ARGS__, &avx512::__VA_ARGS__)
#else
#define SLOTCON_SIMD_SELECT(...) (&portable::__VA_ARGS__)
#endif
