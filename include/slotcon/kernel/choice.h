// What the kernels' `choose()` functions share.
#pragma once

#include <slotcon/core/backend.h>
#include <torch/types.h>

#include <sstream>

namespace slotcon::kernel {

/// The answer where no fused kernel exists for the device and dtype of `input`.
inline Choice no_kernel_for(const torch::Tensor& input) {
  std::ostringstream why_not;
  why_not << "no kernel for " << input.scalar_type() << " on " << input.device().type();
  return {false, why_not.str()};
}

}  // namespace slotcon::kernel
