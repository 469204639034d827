// What the interfaces of the CPU kernels are written in.
#pragma once

#include <cstdint>

namespace slotcon::kernel::cpu {

using Index = std::int64_t;

/// Vectors [*,D] and the inverses of their norms, which make them directions.
struct Directions {
  const float* vectors;
  const float* inverse_norms;
};

}  // namespace slotcon::kernel::cpu
