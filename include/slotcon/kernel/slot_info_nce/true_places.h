// The true ones of a mask, found without waiting for the device that has it.
#pragma once

#include <torch/types.h>

namespace slotcon::kernel::slot_info_nce {

/// Where the true ones of a mask [M] are.
struct TruePlaces {
  torch::Tensor places;  // [M] int64: first those places, ascending; what follows is any place
  torch::Tensor count;   // [1] int64
  torch::Tensor order;   // [M] int64: of a true one, how many there are before it
};

/// What nonzero() says of `mask`, bool, M >= 1, in tensors whose sizes M alone decides.
inline TruePlaces true_places(const torch::Tensor& mask) {
  const auto size = mask.size(0);
  const auto order = mask.cumsum(0) - 1;
  const auto indices = at::arange(size, order.options());
  const auto places = at::zeros({size + 1}, order.options());  // the last one is for the others
  places.scatter_(0, at::where(mask, order, size), indices);
  return {places.slice(0, 0, size), order.slice(0, size - 1) + 1, order};
}

}  // namespace slotcon::kernel::slot_info_nce
