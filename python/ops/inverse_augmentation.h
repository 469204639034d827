// The operators of inverse augmentation.
#pragma once

#include <python/ops/operators.h>
#include <slotcon/core/precision.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <torch/types.h>

namespace slotcon::ops {

namespace detail {

inline Tensor reference_resample(const Tensor& maps, const Tensor& boxes, const Tensor& flipped) {
  const at::NoGradGuard no_grad;
  return functional::inverse_augment(maps, boxes, flipped);
}

/// The gradient by maps, given that by their samples.
inline Tensor reference_gradient(const Tensor& by_samples, const Tensor& boxes,
                                 const Tensor& flipped) {
  const Recording recording;
  const auto maps = leaf_of(at::zeros_like(by_samples), by_samples.scalar_type());
  return gradients_by({maps}, {functional::inverse_augment(maps, boxes, flipped)}, {by_samples})[0];
}

}  // namespace detail

/// The samples of maps [B,K,H,W]; if `transposed`, the gradient by maps, given that by their
/// samples. Both are linear in the first argument, which lends the result its type and its order in
/// memory.
inline Tensor inverse_augment_resample(const Tensor& maps, const Tensor& boxes,
                                       const Tensor& flipped, bool transposed) {
  namespace augmentation = kernel::inverse_augmentation;
  constexpr auto who = "inverse_augment";
  slotcon::detail::check_maps(maps, boxes, flipped, who);
  const auto type = compute_type(maps.scalar_type(), who);
  const AutocastOff precise;
  if (maps.numel() > 0 && augmentation::choose(maps).fused) {
    const auto samples = augmentation::cpu_resample(maps.to(type), boxes.to(type).contiguous(),
                                                    flipped.contiguous(), transposed);
    return in_order_of(maps, samples.to(maps.scalar_type()));
  }
  return in_order_of(maps, transposed ? detail::reference_gradient(maps, boxes, flipped)
                                      : detail::reference_resample(maps, boxes, flipped));
}

namespace detail {

inline Tensor call_resample(const Tensor& maps, const Tensor& boxes, const Tensor& flipped,
                            bool transposed) {
  static const auto pass =
      find_operator("slotcon::inverse_augment_resample", &inverse_augment_resample);
  return pass.call(maps, boxes, flipped, transposed);
}

}  // namespace detail

/// `functional::inverse_augment`.
inline Tensor inverse_augment(const Tensor& maps, const Tensor& boxes, const Tensor& flipped) {
  using Node = kernel::inverse_augmentation::detail::Resampling<&detail::call_resample>;
  return Node::apply(maps, boxes, flipped, /*transposed=*/false);
}

}  // namespace slotcon::ops
