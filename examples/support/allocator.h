// Keeps freed memory for the next step.
#pragma once

#include <cstdlib>  // defines __GLIBC__ where it is glibc

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace examples {

/// A training step allocates and frees the same large tensors again and again. By default glibc
/// maps each from the system anew and gives it back, and the page faults cost a tenth of a small
/// network's step, a fifth of a large one's.
inline void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kNeverMap = 1 << 30, kLargestBefore2_35 = 32 << 20;
  if (mallopt(M_MMAP_THRESHOLD, kNeverMap) == 0) mallopt(M_MMAP_THRESHOLD, kLargestBefore2_35);
  mallopt(M_TRIM_THRESHOLD, 2 * (kNeverMap - 1));
#endif
}

}  // namespace examples
