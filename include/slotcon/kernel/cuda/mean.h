// The mean of numbers on a device, as host code asks for it.
#pragma once

#include <slotcon/kernel/cuda/types.h>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

/// The numbers that one block adds up in the first of two stages.
constexpr Index kNumbersOfPart = 4096;

/// mean = scale / count sum_i values_i, and 0 of none.
struct Mean {
  const float* values;  // [capacity]
  Index capacity;
  const std::int64_t* count;  // how many of them there are; null: all
  double scale;
  double* parts;  // [divided_up(capacity, kNumbersOfPart)], to work with
  float* mean;    // [1]
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
