#include <gtest/gtest.h>
#include <slotcon/view/segmentation.h>

#include <stdexcept>

#include "tests/support/error_text.h"
#include "tests/view/picture.h"

using slotcon::data::Image;
using slotcon::data::LabelMap;
using slotcon::view::Color;
using slotcon::view::color_segmentation;
using slotcon::view::kBlack;
using slotcon::view::overlay_segmentation;
using slotcon::view::palette_color;

TEST(ColorSegmentation, GivesEachIdItsPaletteColour) {
  const Image picture = color_segmentation(torch::tensor({{0, 3, 300}, {-1, 11, 0}}), 11);
  EXPECT_EQ(picture.height, 2);
  EXPECT_EQ(picture.width, 3);
  EXPECT_EQ(color_at(picture, 0, 0), palette_color(0));
  EXPECT_EQ(color_at(picture, 0, 1), palette_color(3));
  EXPECT_EQ(color_at(picture, 0, 2), palette_color(300));
  EXPECT_EQ(color_at(picture, 1, 0), kBlack);
  EXPECT_EQ(color_at(picture, 1, 1), kBlack);
  EXPECT_EQ(color_at(picture, 1, 2), palette_color(0));
}

TEST(ColorSegmentation, DrawsALabelMapLikeATensor) {
  LabelMap labels(2, 3);
  labels.labels = {0, 3, 255, 7, 11, 0};
  const torch::Tensor ids = torch::tensor({{0, 3, 255}, {7, 11, 0}});
  EXPECT_EQ(color_segmentation(labels, 11), color_segmentation(ids, 11));
  EXPECT_EQ(color_segmentation(labels), color_segmentation(ids.to(torch::kByte)));
  EXPECT_NE(color_segmentation(labels), color_segmentation(labels, 11));
  EXPECT_EQ(overlay_segmentation(labels, filled(2, 3, {90, 80, 70}), 0.4, 11),
            overlay_segmentation(ids, filled(2, 3, {90, 80, 70}), 0.4, 11));
}

TEST(OverlaySegmentation, MixesThePictureWithTheColours) {
  const torch::Tensor ids = torch::tensor({{1, 0}}, torch::kInt);
  const Image picture = overlay_segmentation(ids, filled(1, 2, {100, 60, 200}), 0.75);
  EXPECT_EQ(color_at(picture, 0, 0), (Color{139, 45, 150}));  // 1 is 255, 0, 0
  EXPECT_EQ(color_at(picture, 0, 1), (Color{99, 45, 214}));   // 0 is 96, 0, 255
}

TEST(OverlaySegmentation, ReadsIdsInAnyLayout) {
  const torch::Tensor ids = torch::arange(6).view({2, 3});
  EXPECT_EQ(color_segmentation(ids.t().contiguous().t()), color_segmentation(ids));
}

TEST(OverlaySegmentation, SaysWhatIsWrong) {
  const Image image(2, 2);
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              overlay_segmentation(torch::zeros({2, 3}, torch::kLong), image);
            }),
            "overlay_segmentation: expected a map of the image's size, 2 x 2, got 2 x 3");
  EXPECT_EQ(error_text<c10::ValueError>([&] { overlay_segmentation(LabelMap(1, 2), image); }),
            "overlay_segmentation: expected a map of the image's size, 2 x 2, got 1 x 2");
  EXPECT_EQ(error_text<c10::TypeError>([&] {
              overlay_segmentation(torch::zeros({2, 2}), image);
            }),
            "overlay_segmentation: expected integer ids, got Float");
  EXPECT_EQ(
      error_text<c10::ValueError>([] { color_segmentation(torch::zeros({4}, torch::kLong)); }),
      "color_segmentation: expected ids [H,W] with positions, got [4]");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              color_segmentation(torch::zeros({0, 4}, torch::kLong));
            }),
            "color_segmentation: expected ids [H,W] with positions, got [0, 4]");
  EXPECT_EQ(
      error_text<std::invalid_argument>([&] { overlay_segmentation(LabelMap(2, 2), image, -0.5); }),
      "overlay_segmentation: expected an image weight in [0,1], got -0.5");
}
