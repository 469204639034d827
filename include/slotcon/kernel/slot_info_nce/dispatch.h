// Chooses the implementation of slot InfoNCE.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/slot_info_nce/reference.h>

namespace slotcon::kernel::slot_info_nce {

/// Whether a fused kernel can run on these queries. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& queries) { return no_kernel_for(queries); }

}  // namespace slotcon::kernel::slot_info_nce
