// One sample of maps whose channels lie side by side.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_SAMPLE_ROW_H
#define SLOTCON_KERNEL_CPU_SAMPLE_ROW_H
#include <slotcon/kernel/cpu/sampling.h>
#include <slotcon/kernel/cpu/vector.h>

namespace slotcon::kernel::cpu {

/// Rows of channels are padded to multiples of this: whole groups of the widest vectors.
constexpr Index kRowPadding = 64;

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/sample_row.h>
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

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
