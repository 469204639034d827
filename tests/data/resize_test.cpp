#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/resize.h>

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::center_crop;
using slotcon::data::Crop;
using slotcon::data::crop_and_resize;
using slotcon::data::cut;
using slotcon::data::Filter;
using slotcon::data::flip_horizontal;
using slotcon::data::Image;
using slotcon::data::LabelMap;
using slotcon::data::read_image;
using slotcon::data::resize;
using slotcon::data::resize_nearest;
using slotcon::data::shorter_side_size;

Image photo() { return read_image(fixture_path("photo.png")); }

/// Pixel values that tell where a pixel came from.
Image numbered(int height, int width) {
  Image image(height, width);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i);
  }
  return image;
}

TEST(Resize, IsBitEqualToPillow) {
  const Image image = photo();
  for (auto& line : fixture_lines("pillow_resize.txt")) {
    std::string filter, hash;
    Crop crop;
    int height = 0, width = 0;
    line >> filter >> crop.top >> crop.left >> crop.height >> crop.width >> height >> width >> hash;
    const auto resized = crop_and_resize(
        image, crop, height, width, filter == "bicubic" ? Filter::kBicubic : Filter::kBilinear);
    EXPECT_EQ(fnv1a(resized.pixels), hash) << line.str();
  }
}

TEST(Resize, GivesTheSameWithoutWideVectors) {
  const Image image = photo();
  const auto plan =
      slotcon::data::detail::resample_weights(61, 40, {2.0, slotcon::data::detail::bicubic_weight});
  Image plain(40, 83), vectorised(40, 83);
  slotcon::data::detail::ResampleRows::run(image.pixels.data(), 249, 249, &plan,
                                           plain.pixels.data());
  slotcon::data::detail::run_vectorised<slotcon::data::detail::ResampleRows>(
      image.pixels.data(), std::size_t{249}, std::size_t{249}, &plan, vectorised.pixels.data());
  EXPECT_EQ(plain, vectorised);
  EXPECT_EQ(plain, resize(image, 40, 83, Filter::kBicubic));
}

TEST(Resize, OfTheSameSizeIsACopy) {
  const Image image = photo();
  EXPECT_EQ(resize(image, image.height, image.width, Filter::kBicubic), image);
  EXPECT_EQ(resize(image, image.height, image.width, Filter::kBilinear), image);
}

TEST(Resize, LooksAtTheCropOnly) {
  const Image image = photo();
  const Crop crop{11, 7, 30, 41};
  EXPECT_EQ(crop_and_resize(image, crop, 16, 64, Filter::kBicubic),
            resize(cut(image, crop), 16, 64, Filter::kBicubic));
}

TEST(Resize, RefusesCropsOutsideOfTheImage) {
  const Image image(10, 20);
  const auto error = [&](const Crop& crop) {
    return error_of<std::invalid_argument>(
        [&] { crop_and_resize(image, crop, 4, 4, Filter::kBicubic); });
  };
  EXPECT_EQ(error({1, 0, 10, 20}),
            "crop_and_resize: expected a crop inside of the image of 10 x 20 pixels, got top 1, "
            "left 0, height 10, width 20");
  for (const Crop& crop : {Crop{-1, 0, 5, 5}, Crop{0, -1, 5, 5}, Crop{0, 0, 0, 5}, Crop{0, 0, 5, 0},
                           Crop{0, 1, 5, 20}, Crop{0, 2147483647, 5, 5}}) {
    EXPECT_NE(error(crop), "");
  }
  EXPECT_EQ(error_of<std::invalid_argument>([&] { resize(image, 0, 4, Filter::kBicubic); }),
            "crop_and_resize: expected a positive height and width, got 0 x 4");
  EXPECT_THROW(resize(Image(), 4, 4, Filter::kBicubic), std::invalid_argument);
}

TEST(ResizeNearest, IsEqualToPillow) {
  const Image image = photo();
  LabelMap labels(image.height, image.width);
  for (std::size_t i = 0; i < labels.labels.size(); ++i) labels.labels[i] = image.pixels[3 * i + 1];
  for (auto& line : fixture_lines("pillow_nearest.txt")) {
    std::string hash;
    int height = 0, width = 0;
    line >> height >> width >> hash;
    EXPECT_EQ(fnv1a(resize_nearest(labels, height, width).labels), hash) << line.str();
  }
}

TEST(ShorterSideSize, KeepsTheAspectAndTruncates) {
  EXPECT_EQ(shorter_side_size(480, 640, 256), std::make_pair(256, 341));
  EXPECT_EQ(shorter_side_size(640, 480, 256), std::make_pair(341, 256));
  EXPECT_EQ(shorter_side_size(100, 100, 7), std::make_pair(7, 7));
}

TEST(Cut, TakesTheRectangle) {
  const Image image = numbered(4, 5);
  const Image part = cut(image, {1, 2, 2, 3});
  EXPECT_EQ(part.height, 2);
  EXPECT_EQ(part.width, 3);
  EXPECT_EQ(part.at(0, 0)[0], 3 * (1 * 5 + 2));
  EXPECT_EQ(part.at(1, 2)[2], 3 * (2 * 5 + 4) + 2);
  LabelMap map(4, 5);
  map.at(2, 4) = 8;
  EXPECT_EQ(cut(map, {1, 2, 2, 3}).labels, (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 8}));
  EXPECT_THROW(cut(map, {3, 0, 2, 1}), std::invalid_argument);
}

TEST(CenterCrop, RoundsOddMarginsHalfToEven) {
  const Image image = numbered(6, 9);
  EXPECT_EQ(center_crop(image, 4, 4), cut(image, {1, 2, 4, 4}));  // margins 1 and 2.5
  EXPECT_EQ(center_crop(image, 3, 6), cut(image, {2, 2, 3, 6}));  // margins 1.5 and 1.5
  EXPECT_THROW(center_crop(image, 7, 4), std::invalid_argument);
}

TEST(FlipHorizontal, MirrorsEachRow) {
  for (const int width : {1, 4, 5}) {
    const Image image = numbered(3, width);
    Image flipped = image;
    flip_horizontal(flipped);
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < 3; ++c) EXPECT_EQ(flipped.at(y, x)[c], image.at(y, width - 1 - x)[c]);
      }
    }
    flip_horizontal(flipped);
    EXPECT_EQ(flipped, image);
  }
}

}  // namespace
