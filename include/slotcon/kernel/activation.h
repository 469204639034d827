// What may follow a batch norm in one kernel with it.
#pragma once

namespace slotcon::kernel {

enum class Activation {
  kRelu,     ///< max(0, u)
  kAddRelu,  ///< max(0, u + residual)
  kGelu      ///< u times the normal distribution at u
};

}  // namespace slotcon::kernel
