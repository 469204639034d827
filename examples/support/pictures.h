// Pictures of what the slots found.
#pragma once

#include <slotcon/data/image_source.h>
#include <slotcon/data/resize.h>
#include <slotcon/eval/upsample_argmax.h>
#include <slotcon/view/contact_sheet.h>
#include <slotcon/view/heat_map.h>
#include <slotcon/view/segmentation.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace examples {

/// Images in memory as a source of them.
class LoadedImages : public slotcon::data::ImageSource {
 public:
  /// Refers to `images` for as long as it lives.
  explicit LoadedImages(const std::vector<slotcon::data::Image>& images) : images_(images) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  slotcon::data::Image load(std::int64_t index) const override {
    return images_.at(static_cast<std::size_t>(index));
  }

 private:
  const std::vector<slotcon::data::Image>& images_;
};

/// An image reduced to a shorter side; as it is if it is no larger, or `shorter_side` is 0.
inline slotcon::data::Image reduced(slotcon::data::Image image, std::int64_t shorter_side) {
  const auto shorter = std::min(image.height, image.width);
  if (shorter_side == 0 || shorter <= shorter_side) return image;
  const auto scaled = [&](int side) { return static_cast<int>(side * shorter_side / shorter); };
  return slotcon::data::resize(image, scaled(image.height), scaled(image.width),
                               slotcon::data::Filter::kBilinear);
}

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

/// Score maps [K,h,w] as one tensor [N,K,h,w], which ranking needs: resampled to the size of the
/// first.
inline torch::Tensor maps_of_one_size(const std::vector<torch::Tensor>& scores) {
  std::vector<torch::Tensor> equal;
  for (const auto& map : scores) {
    equal.push_back(at::upsample_bilinear2d(map.unsqueeze(0),
                                            {scores[0].size(1), scores[0].size(2)},
                                            /*align_corners=*/false));
  }
  return torch::cat(equal);
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
