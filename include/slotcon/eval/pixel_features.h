// Features of pixels that need no network: what a learned feature has to beat.
#pragma once

#include <slotcon/data/image.h>
#include <torch/types.h>

#include <array>
#include <cstdint>

namespace slotcon::eval {

/// Colour and place of a pixel.
enum class PixelFeature {
  kColor,          ///< F = 3: red, green, blue
  kPosition,       ///< F = 2: x, y
  kColorPosition,  ///< F = 5: red, green, blue, x / 2, y / 2
  kColorTexture,   ///< F = 6: mean and standard deviation of each colour over 9 x 9 pixels
};

constexpr std::array<PixelFeature, 4> kPixelFeatures{PixelFeature::kColor, PixelFeature::kPosition,
                                                     PixelFeature::kColorPosition,
                                                     PixelFeature::kColorTexture};

/// The name of a feature in tables.
inline const char* name(PixelFeature feature) {
  switch (feature) {
    case PixelFeature::kColor:
      return "RGB";
    case PixelFeature::kPosition:
      return "x,y";
    case PixelFeature::kColorPosition:
      return "RGB+x,y";
    case PixelFeature::kColorTexture:
      return "RGB 9x9 mean+std";
  }
  TORCH_CHECK_VALUE(false, "name: expected a PixelFeature, got ", static_cast<int>(feature));
}

namespace detail {

/// [3,H,W] float64 in [0,1].
inline torch::Tensor colors(const data::Image& image) {
  // The tensor only reads: from_blob has no form for constant memory.
  auto* const pixels = const_cast<std::uint8_t*>(image.pixels.data());
  const torch::Tensor values =
      torch::from_blob(pixels, {image.height, image.width, 3}, torch::kByte);
  return values.permute({2, 0, 1}).to(torch::kDouble) / 255.0;
}

/// [2,H,W] float64: x and y of the pixels' centres, in (0,1).
inline torch::Tensor positions(const data::Image& image) {
  const torch::Tensor x = (torch::arange(image.width, torch::kDouble) + 0.5) / image.width;
  const torch::Tensor y = (torch::arange(image.height, torch::kDouble) + 0.5) / image.height;
  return torch::stack(
      {x.view({1, -1}).expand({image.height, -1}), y.view({-1, 1}).expand({-1, image.width})});
}

/// [6,H,W] float64: means, then standard deviations.
inline torch::Tensor color_texture(const data::Image& image) {
  const torch::Tensor values = colors(image);
  const torch::Tensor moments =
      torch::avg_pool2d(torch::cat({values, values.square()}).unsqueeze(0), /*kernel_size=*/9,
                        /*stride=*/1, /*padding=*/4, /*ceil_mode=*/false,
                        /*count_include_pad=*/false)
          .squeeze(0);
  const torch::Tensor mean = moments.narrow(0, 0, 3);
  const torch::Tensor deviation = (moments.narrow(0, 3, 3) - mean.square()).clamp_min(0).sqrt();
  return torch::cat({mean, deviation});
}

inline torch::Tensor feature_map(const data::Image& image, PixelFeature feature) {
  switch (feature) {
    case PixelFeature::kColor:
      return colors(image);
    case PixelFeature::kPosition:
      return positions(image);
    case PixelFeature::kColorPosition:
      return torch::cat({colors(image), positions(image) / 2});
    case PixelFeature::kColorTexture:
      return color_texture(image);
  }
  TORCH_CHECK_VALUE(false, "pixel_features: expected a PixelFeature, got ",
                    static_cast<int>(feature));
}

}  // namespace detail

/// The features of an image's pixels, [H*W,F] float32 on the CPU, in the order of the pixels.
///
/// Scale: colours / 255, and so their means and standard deviations, in [0,1]; x = (column + 1/2) /
/// W and y = (row + 1/2) / H, in (0,1). Beside colours x and y are halved: for k-means the width of
/// the image then weighs half as much as the way from black to full red, as most images use only a
/// part of it. The 9 x 9 window is cut off at the image's edges: mean and (population) standard
/// deviation are those of the pixels that exist.
/// Throws c10::ValueError for an image without pixels.
inline torch::Tensor pixel_features(const data::Image& image, PixelFeature feature) {
  TORCH_CHECK_VALUE(!image.pixels.empty(), "pixel_features: expected an image with pixels");
  return detail::feature_map(image, feature).flatten(1).t().to(torch::kFloat).contiguous();
}

}  // namespace slotcon::eval
