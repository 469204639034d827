// Inverse augmentation: brings score maps of two views into register over the region that both
// show.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/core/precision.h>
#include <slotcon/core/two_views.h>
#include <slotcon/kernel/inverse_augmentation/dispatch.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <ostream>

namespace slotcon {

/// Numbers of inverse augmentation.
struct InverseAugmentationOptions {
  TORCH_ARG(Backend, backend) = Backend::kAuto;
};

namespace detail {

inline void check_maps(const torch::Tensor& maps, const torch::Tensor& boxes,
                       const torch::Tensor& flipped, const char* who) {
  TORCH_CHECK_VALUE(maps.dim() == 4, who, ": expected maps [B,K,H,W], got ", maps.sizes());
  TORCH_CHECK_VALUE(boxes.dim() == 2 && boxes.size(0) == maps.size(0) && boxes.size(1) == 4, who,
                    ": expected boxes [", maps.size(0), ", 4], got ", boxes.sizes());
  TORCH_CHECK_VALUE(flipped.dim() == 1 && flipped.size(0) == maps.size(0), who,
                    ": expected flipped [", maps.size(0), "], got ", flipped.sizes());
  TORCH_CHECK_TYPE(flipped.scalar_type() == torch::kBool, who,
                   ": expected flipped of dtype Bool, got ", flipped.scalar_type());
  TORCH_CHECK_VALUE(maps.device() == boxes.device() && maps.device() == flipped.device(), who,
                    ": expected maps, boxes and flipped on one device, got ", maps.device(), ", ",
                    boxes.device(), " and ", flipped.device());
}

}  // namespace detail

namespace functional {

/// Cuts a box out of each map, resamples it to the map's own size and undoes the mirror image.
///
/// The aligned RoIAlign rule with an adaptive sampling ratio, then a left-right flip where
/// `flipped`: pixel (p,q) of the result is the bilinear sample at y1 H - 1/2 + (p + 1/2) (y2 - y1),
/// likewise in x. The box of the whole map, not flipped, gives the maps themselves exactly.
///
/// Shapes: `maps` [B,K,H,W], `boxes` [B,4] (x1, y1, x2, y2 as fractions of the view as the network
/// saw it),
///   `flipped` [B] bool; result [B,K,H,W]. A box without width or height (views that share nothing)
///   gives zeros and no gradient. A box over 1 by rounding is sampled twice a pixel and averaged.
/// Types: maps any floating, result likewise; sampled in float32 (float64 for float64 maps).
/// Backends: fused on the CPU in float32.
/// Gradient: maps only; differentiable twice.
/// Several processes: every map is sampled on its own, nothing travels.
/// Determinism: equal results from run to run on one device and thread count, forward and backward;
///   fused, on any number of threads.
/// Throws c10::ValueError or c10::TypeError for shapes, types or devices that do not fit;
///   c10::NotImplementedError for Backend::kFused where it cannot run.
/// Example:
///     auto aligned = functional::inverse_augment(grouping.scores, view.boxes, view.flipped);
/// Paper: Wen et al., NeurIPS 2022, section 3.2; He et al., ICCV 2017 (RoIAlign).
inline torch::Tensor inverse_augment(const torch::Tensor& maps, const torch::Tensor& boxes,
                                     const torch::Tensor& flipped,
                                     const InverseAugmentationOptions& options = {}) {
  constexpr auto who = "inverse_augment";
  detail::check_maps(maps, boxes, flipped, who);
  const auto type = compute_type(maps.scalar_type(), who);
  const bool is_fused =
      use_fused(options.backend(), kernel::inverse_augmentation::choose(maps), who);
  if (maps.numel() == 0) return maps.clone();
  const AutocastOff precise;
  const auto sampled = boxes.detach().to(type);
  const auto aligned =
      is_fused ? kernel::inverse_augmentation::fused(maps.to(type), sampled, flipped)
               : kernel::inverse_augmentation::reference(maps.to(type), sampled, flipped);
  return aligned.to(maps.scalar_type());
}

}  // namespace functional

/// `functional::inverse_augment` as a module without state.
class InverseAugmentationImpl : public torch::nn::Cloneable<InverseAugmentationImpl> {
 public:
  explicit InverseAugmentationImpl(const InverseAugmentationOptions& options_ = {})
      : options(options_) {}

  void reset() override {}
  void pretty_print(std::ostream& out) const override { out << "slotcon::InverseAugmentation()"; }

  torch::Tensor forward(const torch::Tensor& maps, const ViewGeometry& view) {
    return functional::inverse_augment(maps, view.boxes, view.flipped, options);
  }

  InverseAugmentationOptions options;
};
TORCH_MODULE(InverseAugmentation);

}  // namespace slotcon
