// Pictures of what the slots found.
#pragma once

#include <slotcon/data/image_file.h>
#include <slotcon/eval/upsample_argmax.h>
#include <slotcon/view/contact_sheet.h>
#include <slotcon/view/heat_map.h>
#include <slotcon/view/segmentation.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace examples {

/// The slot that wins at each pixel of an image, [height,width], from its scores [K,h,w].
inline torch::Tensor winning_slots(const torch::Tensor& scores, const slotcon::data::Image& image) {
  return slotcon::eval::upsample_argmax(scores.unsqueeze(0), image.height, image.width)[0];
}

/// The slots that win the most pixels of a map [height,width], the largest first, at most `count`.
inline std::vector<std::int64_t> largest_slots(const torch::Tensor& winners, std::int64_t count) {
  const auto pixels = torch::bincount(winners.flatten());
  const auto order = pixels.argsort(/*dim=*/0, /*descending=*/true);
  std::vector<std::int64_t> slots;
  for (std::int64_t i = 0; i < std::min(count, order.size(0)); ++i) {
    const auto slot = order[i].item<std::int64_t>();
    if (pixels[slot].item<std::int64_t>() > 0) slots.push_back(slot);
  }
  return slots;
}

/// One image as a row: the image, its hard segmentation `winners`, and the heat map of each of
/// `slots`.
inline std::vector<slotcon::data::Image> slot_row(const slotcon::data::Image& image,
                                                  const torch::Tensor& scores,
                                                  const torch::Tensor& winners,
                                                  const std::vector<std::int64_t>& slots) {
  std::vector<slotcon::data::Image> row{image, slotcon::view::color_segmentation(winners)};
  for (const auto slot : slots) row.push_back(slotcon::view::heat_map(scores[slot], image));
  return row;
}

/// A sheet of images, one a row, each with the heat maps of its `heat_maps` largest slots.
inline slotcon::data::Image slot_sheet(const std::vector<slotcon::data::Image>& images,
                                       const std::vector<torch::Tensor>& scores,
                                       std::int64_t heat_maps) {
  std::vector<std::vector<slotcon::data::Image>> rows;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto winners = winning_slots(scores[i], images[i]);
    rows.push_back(slot_row(images[i], scores[i], winners, largest_slots(winners, heat_maps)));
  }
  slotcon::view::ContactSheetOptions options;
  options.magnification = images.at(0).width < 200 ? 2 : 1;
  return slotcon::view::contact_sheet(rows, options);
}

}  // namespace examples
