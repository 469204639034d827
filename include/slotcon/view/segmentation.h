// Maps of class labels and cluster ids as pictures.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/view/blend.h>
#include <slotcon/view/color_map.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace slotcon::view {
namespace detail {

inline Color id_color(std::int64_t id, std::optional<std::int64_t> ignored_id) {
  return id < 0 || id == ignored_id ? kBlack : palette_color(static_cast<std::size_t>(id));
}

inline void check_map_size(std::int64_t height, std::int64_t width, const data::Image& image) {
  TORCH_CHECK_VALUE(height == image.height && width == image.width,
                    "overlay_segmentation: expected a map of the image's size, ", image.height,
                    " x ", image.width, ", got ", height, " x ", width);
}

/// [H,W] int64 on the CPU.
inline torch::Tensor id_map(const char* who, const torch::Tensor& ids) {
  TORCH_CHECK_TYPE(c10::isIntegralType(ids.scalar_type(), /*includeBool=*/false), who,
                   ": expected integer ids, got ", ids.scalar_type());
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.numel() > 0, who,
                    ": expected ids [H,W] with positions, got ", ids.sizes());
  return ids.to(torch::kCPU, torch::kLong);
}

}  // namespace detail

/// Lays a segmentation over a picture: each position is mixed with the palette colour of its id.
///
/// `ids` is [H,W], the size of the picture, of any integer dtype, on any device: classes, clusters
/// or slots. Negative ids and `ignored_id`, if there is one, are black. `image_weight` in [0,1] is
/// the share of the picture in the mixture.
/// Throws c10::TypeError for other dtypes, c10::ValueError for another size, std::invalid_argument
/// for a weight outside [0,1].
inline data::Image overlay_segmentation(const torch::Tensor& ids, data::Image image,
                                        double image_weight = 0.5,
                                        std::optional<std::int64_t> ignored_id = std::nullopt) {
  detail::check_image_weight("overlay_segmentation", image_weight);
  const torch::Tensor map = detail::id_map("overlay_segmentation", ids);
  detail::check_map_size(map.size(0), map.size(1), image);
  const auto id_at = map.accessor<std::int64_t, 2>();
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      blend(image.at(y, x), detail::id_color(id_at[y][x], ignored_id), image_weight);
    }
  }
  return image;
}

/// The same for a map of labels.
inline data::Image overlay_segmentation(const data::LabelMap& labels, data::Image image,
                                        double image_weight = 0.5,
                                        std::optional<std::int64_t> ignored_id = std::nullopt) {
  detail::check_image_weight("overlay_segmentation", image_weight);
  detail::check_map_size(labels.height, labels.width, image);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      blend(image.at(y, x), detail::id_color(labels.at(y, x), ignored_id), image_weight);
    }
  }
  return image;
}

/// The palette colours alone of a map of ids [H,W]; see `overlay_segmentation`.
inline data::Image color_segmentation(const torch::Tensor& ids,
                                      std::optional<std::int64_t> ignored_id = std::nullopt) {
  const torch::Tensor map = detail::id_map("color_segmentation", ids);
  data::Image canvas(static_cast<int>(map.size(0)), static_cast<int>(map.size(1)));
  return overlay_segmentation(map, std::move(canvas), /*image_weight=*/0.0, ignored_id);
}

/// The same for a map of labels.
inline data::Image color_segmentation(const data::LabelMap& labels,
                                      std::optional<std::int64_t> ignored_id = std::nullopt) {
  return overlay_segmentation(labels, data::Image(labels.height, labels.width),
                              /*image_weight=*/0.0, ignored_id);
}

}  // namespace slotcon::view
