// Chooses the implementation of semantic grouping.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/semantic_grouping/fused.h>
#include <slotcon/kernel/semantic_grouping/reference.h>

namespace slotcon::kernel::semantic_grouping {

/// Whether a fused kernel can run on these features, at this temperature. Pure: launches and
/// allocates nothing.
inline Choice choose(const torch::Tensor& features, double temperature) {
  const auto choice = choose_float32_on_cpu(features);
  return choice.fused ? choose_by_temperature(temperature) : choice;
}

}  // namespace slotcon::kernel::semantic_grouping
