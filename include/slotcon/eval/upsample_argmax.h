// From maps of scores on a network's grid to a segmentation at label resolution.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace slotcon::eval {

/// The number of the highest of K maps at each position of a finer grid.
///
/// result[n,y,x] = argmax_k u[n,k,y,x], u = `scores` upsampled bilinearly (align_corners = false)
///
/// Shapes: `scores` [N,K,h,w], none of them 0 but N; result [N,height,width] int64. Of equal maps
/// the lower wins. Types: floating, on any device; float16 and bfloat16 are upsampled in float32.
/// Memory: one image at a time is upsampled.
/// Throws c10::ValueError for another shape or a height or width below 1, c10::TypeError for
/// another dtype.
inline torch::Tensor upsample_argmax(const torch::Tensor& scores, std::int64_t height,
                                     std::int64_t width) {
  TORCH_CHECK_VALUE(
      scores.dim() == 4 && scores.size(1) > 0 && scores.size(2) > 0 && scores.size(3) > 0,
      "upsample_argmax: expected scores [N,K,h,w], got ", scores.sizes());
  TORCH_CHECK_VALUE(height >= 1 && width >= 1,
                    "upsample_argmax: expected a positive height and width, got ", height, " x ",
                    width);
  TORCH_CHECK_TYPE(scores.is_floating_point(), "upsample_argmax: expected floating scores, got ",
                   scores.scalar_type());
  const torch::NoGradGuard no_grad;
  const auto computed = scores.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const torch::Tensor winners =
      torch::empty({scores.size(0), height, width}, scores.options().dtype(torch::kLong));
  for (std::int64_t image = 0; image < scores.size(0); ++image) {
    const torch::Tensor maps = scores.narrow(0, image, 1).to(computed);
    winners[image].copy_(torch::upsample_bilinear2d(maps, {height, width}, /*align_corners=*/false)
                             .squeeze(0)
                             .argmax(0));
  }
  return winners;
}

}  // namespace slotcon::eval
