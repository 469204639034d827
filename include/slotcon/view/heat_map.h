// Where in a picture a slot's scores are high.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/view/blend.h>
#include <slotcon/view/color_map.h>
#include <torch/types.h>

namespace slotcon::view {

/// Lays the scores of one slot over a picture as heat: blue where they are low, red where high.
///
///     heat[y,x] = (s[y,x] - min scores) / (max scores - min scores)
///
/// where s is `scores` upsampled bilinearly (align_corners = false) to the size of the picture. A
/// constant map is blue everywhere. `scores` is [h,w], finite, of any floating dtype, on any
/// device; it spans the whole picture. `image_weight` in [0,1] is the share of the picture in the
/// mixture.
/// Throws c10::ValueError for scores that are not [h,w] or not finite and for an image without
/// pixels, c10::TypeError for another dtype, std::invalid_argument for a weight outside [0,1].
inline data::Image heat_map(const torch::Tensor& scores, data::Image image,
                            double image_weight = 0.5) {
  detail::check_image_weight("heat_map", image_weight);
  TORCH_CHECK_VALUE(scores.dim() == 2 && scores.numel() > 0,
                    "heat_map: expected scores [h,w] with positions, got ", scores.sizes());
  TORCH_CHECK_VALUE(!image.pixels.empty(), "heat_map: expected an image with pixels");
  TORCH_CHECK_TYPE(scores.is_floating_point(), "heat_map: expected floating scores, got ",
                   scores.scalar_type());
  const torch::NoGradGuard no_grad;
  const torch::Tensor map = scores.to(torch::kCPU, torch::kDouble);
  TORCH_CHECK_VALUE(map.isfinite().all().item<bool>(), "heat_map: expected finite scores");
  const auto low = map.min().item<double>();
  const auto range = map.max().item<double>() - low;
  const torch::Tensor upsampled =
      torch::upsample_bilinear2d(map.view({1, 1, map.size(0), map.size(1)}),
                                 {image.height, image.width}, /*align_corners=*/false);
  const auto values = upsampled.accessor<double, 4>()[0][0];
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double heat = range > 0 ? (values[y][x] - low) / range : 0.0;
      blend(image.at(y, x), heat_color(heat), image_weight);
    }
  }
  return image;
}

}  // namespace slotcon::view
