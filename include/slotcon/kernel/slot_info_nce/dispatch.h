// Chooses the implementation of slot InfoNCE.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/slot_info_nce/fused.h>
#include <slotcon/kernel/slot_info_nce/reference.h>

#include <sstream>

namespace slotcon::kernel::slot_info_nce {

/// Whether a fused kernel can run on what the loss makes of these arguments: half types become
/// float32. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& queries, const torch::Tensor& keys,
                     const torch::Tensor& positive, double temperature) {
  const auto choice = choose_by_device(queries);
  if (!choice.fused) return choice;
  for (const auto& tensor : {keys, positive}) {
    if (tensor.device() != queries.device()) return no_kernel_for(tensor);
  }
  if (positive.scalar_type() != torch::kLong) {
    std::ostringstream why_not;
    why_not << "the kernel needs positives of Long, got " << positive.scalar_type();
    return {false, why_not.str()};
  }
  return choose_by_temperature(temperature);
}

}  // namespace slotcon::kernel::slot_info_nce
