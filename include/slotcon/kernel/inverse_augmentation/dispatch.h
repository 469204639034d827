// Chooses the implementation of inverse augmentation.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/inverse_augmentation/cpu.h>
#include <slotcon/kernel/inverse_augmentation/reference.h>

namespace slotcon::kernel::inverse_augmentation {

/// Whether a fused kernel can run on these maps. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& maps) { return choose_float32_on_cpu(maps); }

}  // namespace slotcon::kernel::inverse_augmentation
