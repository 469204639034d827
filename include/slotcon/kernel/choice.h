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

/// The answer of kernels for float32 on the CPU, to which the losses convert half types.
inline Choice choose_float32_on_cpu(const torch::Tensor& input) {
  if (!input.is_cpu() || input.scalar_type() == torch::kDouble) return no_kernel_for(input);
  return {true, ""};
}

/// The lowest temperature at which float32 holds e^(-2 / temperature), the least weight that two
/// cosines can have to one another, as a normal number: a softmax of them needs no maximum.
constexpr double kLowestTemperature = 0.025;

/// The answer of kernels that need such a temperature.
inline Choice choose_by_temperature(double temperature) {
  if (temperature >= kLowestTemperature) return {true, ""};
  std::ostringstream why_not;
  why_not << "the kernel needs temperature >= " << kLowestTemperature << ", got " << temperature;
  return {false, why_not.str()};
}

}  // namespace slotcon::kernel
