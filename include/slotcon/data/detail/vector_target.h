// Runs one piece of plain code compiled for the widest vectors that the processor has.
#pragma once

namespace slotcon::data::detail {

#if defined(__x86_64__) && defined(__GNUC__)

/// For the code that run_vectorised() runs: inlined, it is compiled for the caller's processor.
#define SLOTCON_VECTORISED __attribute__((always_inline)) inline

template <class Code, class... Arguments>
__attribute__((target("avx2"), noinline)) void run_with_avx2(Arguments... arguments) {
  Code::run(arguments...);
}

template <class Code, class... Arguments>
__attribute__((noinline)) void run_with_baseline(Arguments... arguments) {
  Code::run(arguments...);
}

/// Calls Code::run(arguments...), which must be SLOTCON_VECTORISED. AVX2 brings no instruction that
/// rounds differently: the result does not depend on the processor, the speed does.
template <class Code, class... Arguments>
void run_vectorised(Arguments... arguments) {
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
  if (has_avx2) {
    run_with_avx2<Code>(arguments...);
  } else {
    run_with_baseline<Code>(arguments...);
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
