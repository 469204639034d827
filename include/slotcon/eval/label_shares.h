// The classes below each position of a coarse grid, as shares: targets of a dense linear probe.
#pragma once

#include <slotcon/data/image.h>
#include <torch/types.h>

#include <cstdint>

namespace slotcon::eval {

/// How much of each cell of a height x width grid over the label map is of each class.
///
/// result[c,y,x] = positions of class c in cell (y,x) / positions in the cell;
/// [classes,height,width] float64. Cell y holds the rows floor(y H / height) ... ceil((y + 1) H /
/// height) - 1, as adaptive average pooling has them. Labels of `classes` and more count for no
/// class, so a cell's shares add up to less than 1 where there are some. Throws c10::ValueError
/// unless classes, height and width are positive.
inline torch::Tensor label_shares(const data::LabelMap& labels, std::int64_t classes,
                                  std::int64_t height, std::int64_t width) {
  TORCH_CHECK_VALUE(classes >= 1 && height >= 1 && width >= 1,
                    "label_shares: expected positive classes, height and width, got ", classes,
                    ", ", height, " and ", width);
  // The tensor only reads: from_blob has no form for constant memory.
  auto* const values = const_cast<std::uint8_t*>(labels.labels.data());
  const auto map = torch::from_blob(values, {1, labels.height, labels.width}, torch::kByte);
  const auto numbers = torch::arange(classes, torch::kLong).view({-1, 1, 1});
  return at::adaptive_avg_pool2d((map == numbers).to(torch::kDouble), {height, width});
}

}  // namespace slotcon::eval
