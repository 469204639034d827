// The most memory that the program has used.
#pragma once

#include <sys/resource.h>

namespace examples {

/// The largest resident size of this process so far, in MiB.
inline double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  constexpr double kUnitsPerMiB = 1 << 20;  // bytes
#else
  constexpr double kUnitsPerMiB = 1 << 10;  // KiB
#endif
  return static_cast<double>(usage.ru_maxrss) / kUnitsPerMiB;
}

}  // namespace examples
