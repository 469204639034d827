// What a prototype stands for: the images that it fits best, with the region that it wins.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/data/image_source.h>
#include <slotcon/view/blend.h>
#include <slotcon/view/color_map.h>
#include <slotcon/view/contact_sheet.h>
#include <torch/types.h>

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

namespace slotcon::view {

/// For each of K prototypes, how well N images fit it, and which fit it best.
struct ImageRanking {
  torch::Tensor scores;  ///< [K,N], float32 (float64 for float64 scores)
  torch::Tensor order;   ///< [K,top] int64: numbers of the best images, best first
};

namespace detail {

inline void check_scores(const char* who, const torch::Tensor& scores) {
  TORCH_CHECK_VALUE(scores.dim() == 4 && scores.numel() > 0, who,
                    ": expected scores [N,K,h,w], none of them 0, got ", scores.sizes());
  TORCH_CHECK_TYPE(scores.is_floating_point(), who, ": expected floating scores, got ",
                   scores.scalar_type());
}

inline torch::Tensor at_least_float(const torch::Tensor& scores) {
  return scores.scalar_type() == torch::kDouble ? scores : scores.to(torch::kFloat);
}

}  // namespace detail

/// Ranks images for each prototype by how well they fit where the prototype wins.
///
///     scores[k,n] = mean of s[n,k,y,x] over the positions where s[n,k] is the largest of s[n,:]
///                   (over all positions where it wins none)
///
/// `scores` is s [N,K,h,w], the cosines of grouping, floating, on any device; equal cosines are won
/// by the lower prototype. `top` in 1 .. N is the number of images in `order`; equal images keep
/// their order.
/// Throws c10::ValueError for another shape or `top`, c10::TypeError for another dtype.
/// Source: the retrieval view of the published SlotCon code (viz_slots).
inline ImageRanking rank_images(const torch::Tensor& scores, std::int64_t top) {
  detail::check_scores("rank_images", scores);
  TORCH_CHECK_VALUE(top >= 1 && top <= scores.size(0), "rank_images: expected top in 1 to ",
                    scores.size(0), ", the number of images, got ", top);
  const torch::NoGradGuard no_grad;
  const torch::Tensor cosines = detail::at_least_float(scores).flatten(2);  // [N,K,h*w]
  const torch::Tensor prototypes =
      torch::arange(scores.size(1), scores.options().dtype(torch::kLong));
  const torch::Tensor won = cosines.argmax(1, /*keepdim=*/true) == prototypes.view({1, -1, 1});
  const torch::Tensor count = won.sum(2);
  const torch::Tensor mean_won = (cosines * won).sum(2) / count.clamp_min(1);
  const torch::Tensor ranked = torch::where(count > 0, mean_won, cosines.mean(2)).t().contiguous();
  const torch::Tensor order =
      std::get<1>(ranked.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
  return {ranked, order.narrow(1, 0, top).contiguous()};
}

/// Tints the region of a picture that a prototype wins.
///
/// The region is where map `prototype` of `scores` [K,h,w], upsampled bilinearly (align_corners =
/// false) to the size of the picture, is the largest; it may be empty. There, pixel = w pixel +
/// (1 - w) red with w = `image_weight`; elsewhere the picture stays.
/// Throws c10::ValueError for another shape, a prototype that does not exist and an image without
/// pixels, c10::TypeError for another dtype, std::invalid_argument for a weight outside [0,1].
inline data::Image tint_winning_region(const torch::Tensor& scores, std::int64_t prototype,
                                       data::Image image, double image_weight = 0.6) {
  detail::check_image_weight("tint_winning_region", image_weight);
  TORCH_CHECK_VALUE(scores.dim() == 3, "tint_winning_region: expected scores [K,h,w], got ",
                    scores.sizes());
  detail::check_scores("tint_winning_region", scores.unsqueeze(0));
  TORCH_CHECK_VALUE(prototype >= 0 && prototype < scores.size(0),
                    "tint_winning_region: expected a prototype in 0 to ", scores.size(0) - 1,
                    ", got ", prototype);
  TORCH_CHECK_VALUE(!image.pixels.empty(), "tint_winning_region: expected an image with pixels");
  const torch::NoGradGuard no_grad;
  const torch::Tensor upsampled =
      torch::upsample_bilinear2d(detail::at_least_float(scores).unsqueeze(0),
                                 {image.height, image.width}, /*align_corners=*/false);
  const torch::Tensor winners = upsampled.squeeze(0).argmax(0).cpu();
  const auto winner_at = winners.accessor<std::int64_t, 2>();
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (winner_at[y][x] == prototype) blend(image.at(y, x), kRed, image_weight);
    }
  }
  return image;
}

/// Draws the images that fit prototypes best: one row a prototype, the best image on the left.
///
/// `images` are the N images that the scores were computed on, each whole, of any size.
/// `scores` is [N,K,h,w]; `ranking` is what `rank_images` made of it; `prototypes` says which rows
/// to draw, in this order. The region that the prototype wins is tinted; see `tint_winning_region`.
/// Only images that are drawn are loaded.
/// Throws as `tint_winning_region` and `contact_sheet` do, and c10::ValueError when the number of
/// images or of ranked prototypes is not that of the scores.
inline data::Image prototype_sheet(const data::ImageSource& images, const torch::Tensor& scores,
                                   const ImageRanking& ranking,
                                   const std::vector<std::int64_t>& prototypes,
                                   const ContactSheetOptions& options = {},
                                   double image_weight = 0.6) {
  detail::check_scores("prototype_sheet", scores);
  TORCH_CHECK_VALUE(images.size() == scores.size(0), "prototype_sheet: expected ", scores.size(0),
                    " images, one for each map of scores, got ", images.size());
  TORCH_CHECK_VALUE(ranking.order.dim() == 2 && ranking.order.size(0) == scores.size(1),
                    "prototype_sheet: expected a ranking for ", scores.size(1),
                    " prototypes, got order ", ranking.order.sizes());
  const torch::Tensor order = ranking.order.cpu();
  std::vector<std::vector<data::Image>> rows;
  for (const std::int64_t prototype : prototypes) {
    TORCH_CHECK_VALUE(prototype >= 0 && prototype < scores.size(1),
                      "prototype_sheet: expected prototypes in 0 to ", scores.size(1) - 1, ", got ",
                      prototype);
    auto& row = rows.emplace_back();
    for (std::int64_t rank = 0; rank < order.size(1); ++rank) {
      const auto index = order[prototype][rank].item<std::int64_t>();
      row.push_back(
          tint_winning_region(scores[index], prototype, images.load(index), image_weight));
    }
  }
  return contact_sheet(rows, options);
}

}  // namespace slotcon::view
