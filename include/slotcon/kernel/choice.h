// What the kernels' `choose()` functions share.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/kernel/cuda/linked.h>
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

/// The answer of kernels that are there for CUDA too, in a program that links them.
inline Choice choose_by_device(const torch::Tensor& input) {
  if (!input.is_cuda() || input.scalar_type() == torch::kDouble) {
    return choose_float32_on_cpu(input);
  }
  if (cuda::kernels_linked()) return {true, ""};
  return {false, cuda::kNotLinked};
}

/// use_fused() of a loss that has kernels for CUDA too. Warns where they would run but are not
/// linked.
inline bool use_fused_on(c10::Device device, Backend backend, const Choice& choice,
                         const char* who) {
  if (backend == Backend::kAuto) cuda::warn_if_not_linked(device);
  return use_fused(backend, choice, who);
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
