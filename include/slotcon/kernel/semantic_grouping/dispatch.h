// Chooses the implementation of semantic grouping.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/semantic_grouping/fused.h>
#include <slotcon/kernel/semantic_grouping/reference.h>

#include <sstream>

namespace slotcon::kernel::semantic_grouping {

/// The lowest temperature at which float32 holds e^(-2 / temperature), the least weight that two
/// cosines can have to one another, so that the softmax needs no maximum.
constexpr double kLowestTemperature = 0.025;

/// Whether a fused kernel can run on these features, at this temperature. Pure: launches and
/// allocates nothing. Half types count as float32, to which the loss converts them.
inline Choice choose(const torch::Tensor& features, double temperature) {
  if (!features.is_cpu() || features.scalar_type() == torch::kDouble) {
    return no_kernel_for(features);
  }
  if (temperature < kLowestTemperature) {
    std::ostringstream why_not;
    why_not << "the kernel needs temperature >= " << kLowestTemperature << ", got " << temperature;
    return {false, why_not.str()};
  }
  return {true, ""};
}

}  // namespace slotcon::kernel::semantic_grouping
