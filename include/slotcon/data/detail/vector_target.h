// Runs one piece of plain code compiled for the widest vectors that the processor has.
#pragma once

namespace slotcon::data::detail {

#if defined(__x86_64__) && defined(__GNUC__)

/// For the code that run_vectorised() runs: inlined, it is compiled for the caller's processor.
#define SLOTCON_VECTORISED __attribute__((always_inline)) inline

// At -O2 g++ vectorises little; and it must not fuse products and sums where the processor could,
// which would round them differently.
#if defined(__clang__)
#define SLOTCON_COMPILED_FOR(...) __attribute__((noinline, ##__VA_ARGS__))
#else
#define SLOTCON_COMPILED_FOR(...) \
  __attribute__((noinline, optimize("O3", "fp-contract=off"), ##__VA_ARGS__))
#endif

template <class Code, class... Arguments>
SLOTCON_COMPILED_FOR(target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))
void run_with_avx512(Arguments... arguments) {
  Code::run(arguments...);
}

template <class Code, class... Arguments>
SLOTCON_COMPILED_FOR(target("avx2"))
void run_with_avx2(Arguments... arguments) {
  Code::run(arguments...);
}

template <class Code, class... Arguments>
SLOTCON_COMPILED_FOR()
void run_with_baseline(Arguments... arguments) {
  Code::run(arguments...);
}

#undef SLOTCON_COMPILED_FOR

enum class VectorTarget { kBaseline, kAvx2, kAvx512 };

inline VectorTarget best_target() {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return VectorTarget::kAvx512;
  }
  return __builtin_cpu_supports("avx2") ? VectorTarget::kAvx2 : VectorTarget::kBaseline;
}

/// Calls Code::run(arguments...), which must be SLOTCON_VECTORISED. The result does not depend on
/// the processor, the speed does.
template <class Code, class... Arguments>
void run_vectorised(Arguments... arguments) {
  static const VectorTarget target = best_target();
  switch (target) {
    case VectorTarget::kAvx512:
      return run_with_avx512<Code>(arguments...);
    case VectorTarget::kAvx2:
      return run_with_avx2<Code>(arguments...);
    case VectorTarget::kBaseline:
      return run_with_baseline<Code>(arguments...);
  }
}

#else

#define SLOTCON_VECTORISED inline

template <class Code, class... Arguments>
void run_vectorised(Arguments... arguments) {
  Code::run(arguments...);
}

#endif

}  // namespace slotcon::data::detail
