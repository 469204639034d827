// A few neighbours of an array, read or written by one instruction.
#pragma once

#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Vector {
  T values[kWidth];
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
