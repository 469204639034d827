// Chooses the implementation of semantic grouping.
#pragma once

#include <slotcon/kernel/choice.h>
#include <slotcon/kernel/semantic_grouping/reference.h>

namespace slotcon::kernel::semantic_grouping {

/// Whether a fused kernel can run on these features. Pure: launches and allocates nothing.
inline Choice choose(const torch::Tensor& features) { return no_kernel_for(features); }

}  // namespace slotcon::kernel::semantic_grouping
