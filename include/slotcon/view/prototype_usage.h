// How often each prototype wins.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace slotcon::view {

/// The share of positions that each prototype wins.
///
///     usage[k] = mean over images n of #{(y,x) : s[n,k,y,x] is the largest of s[n,:,y,x]} / (h w)
///
/// `scores` has s[n] [K,h,w] of each image, with one K; sizes of maps may differ, and each image
/// counts the same. Equal scores are won by the lower prototype. Result [K], in [0,1], their sum is
/// 1; a prototype with 0 is dead on these images.
/// Throws c10::ValueError without images and for another shape.
inline std::vector<double> prototype_usage(const std::vector<torch::Tensor>& scores) {
  TORCH_CHECK_VALUE(!scores.empty(), "prototype_usage: expected the scores of an image or more");
  const torch::NoGradGuard no_grad;
  torch::Tensor usage;
  for (const auto& map : scores) {
    TORCH_CHECK_VALUE(map.dim() == 3 && map.numel() > 0 && map.size(0) == scores[0].size(0),
                      "prototype_usage: expected scores [K,h,w] with one K, got ", map.sizes());
    const auto wins = torch::bincount(map.argmax(0).flatten().cpu(), {}, map.size(0));
    const auto share = wins.to(torch::kDouble) / static_cast<double>(map.size(1) * map.size(2));
    usage = usage.defined() ? usage + share : share;
  }
  usage = usage / static_cast<double>(scores.size());
  const auto* const values = usage.const_data_ptr<double>();
  return {values, values + usage.numel()};
}

}  // namespace slotcon::view
