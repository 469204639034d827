// The element type of a tensor.
#pragma once

#include <slotcon/kernel/cpu/element.h>
#include <torch/types.h>

namespace slotcon::kernel::cpu {

/// Of a tensor in float32, bfloat16 or float16.
inline Element element_of(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kBFloat16:
      return Element::kBFloat16;
    case torch::kHalf:
      return Element::kHalf;
    default:
      return Element::kFloat;
  }
}

}  // namespace slotcon::kernel::cpu
