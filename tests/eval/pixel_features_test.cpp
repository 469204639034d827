#include <gtest/gtest.h>
#include <slotcon/eval/pixel_features.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::data::Image;
using slotcon::eval::name;
using slotcon::eval::pixel_features;
using slotcon::eval::PixelFeature;

TEST(PixelFeatures, AreColoursInTheOrderOfThePixels) {
  Image image(2, 2);
  image.pixels = {255, 0, 51, 1, 2, 3, 4, 5, 6, 0, 0, 255};
  const torch::Tensor features = pixel_features(image, PixelFeature::kColor);
  EXPECT_EQ(features.scalar_type(), torch::kFloat);
  const torch::Tensor expected =
      torch::tensor({255., 0., 51., 1., 2., 3., 4., 5., 6., 0., 0., 255.}).view({4, 3}) / 255;
  EXPECT_TRUE(features.allclose(expected.to(torch::kFloat), 0, 1e-7));
}

TEST(PixelFeatures, AreCentresOfPixelsInTheUnitSquare) {
  const torch::Tensor features = pixel_features(Image(2, 4), PixelFeature::kPosition);
  const torch::Tensor expected = torch::tensor(
      {.125, .25, .375, .25, .625, .25, .875, .25, .125, .75, .375, .75, .625, .75, .875, .75});
  EXPECT_TRUE(features.equal(expected.to(torch::kFloat).view({8, 2})));
}

TEST(PixelFeatures, AreColoursAndThenHalfThePositions) {
  const Image image = hashed_image(5, 7);
  const torch::Tensor both = pixel_features(image, PixelFeature::kColorPosition);
  EXPECT_TRUE(both.narrow(1, 0, 3).equal(pixel_features(image, PixelFeature::kColor)));
  EXPECT_TRUE(both.narrow(1, 3, 2).equal(pixel_features(image, PixelFeature::kPosition) / 2));
}

TEST(PixelFeatures, AreMeansAndDeviationsOfTheWindowInsideTheImage) {
  struct Pixel {
    std::int64_t y, x;
    std::array<double, 6> expected;
  };
  // From generate_pixel_features.py.
  const Pixel pixels[] = {
      {0, 0, {0.469960784, 0.613019608, 0.518901961, 0.320523754, 0.311759961, 0.313224541}},
      {6, 9, {0.490680223, 0.490680223, 0.500459937, 0.262379121, 0.304179622, 0.276297095}},
      {11, 19, {0.490039216, 0.567686275, 0.466509804, 0.295167757, 0.327524529, 0.231855873}},
      {3, 17, {0.514285714, 0.484033613, 0.479971989, 0.296817143, 0.280033322, 0.261070249}},
  };
  const torch::Tensor features =
      pixel_features(hashed_image(12, 20), PixelFeature::kColorTexture).view({12, 20, 6});
  for (const Pixel& pixel : pixels) {
    for (std::int64_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(features[pixel.y][pixel.x][i].item<double>(),
                  pixel.expected[static_cast<std::size_t>(i)], 1e-7);
    }
  }
}

TEST(PixelFeatures, OfOneColourHaveNoDeviation) {
  Image image(3, 20);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{77});
  const torch::Tensor features = pixel_features(image, PixelFeature::kColorTexture);
  EXPECT_TRUE(features.narrow(1, 0, 3).allclose(torch::full({60, 3}, 77.f / 255), 0, 1e-6));
  EXPECT_LT(features.narrow(1, 3, 3).max().item<double>(), 1e-7);
}

TEST(PixelFeatures, HaveNamesForTables) {
  EXPECT_STREQ(name(PixelFeature::kColor), "RGB");
  EXPECT_STREQ(name(PixelFeature::kPosition), "x,y");
  EXPECT_STREQ(name(PixelFeature::kColorPosition), "RGB+x,y");
  EXPECT_STREQ(name(PixelFeature::kColorTexture), "RGB 9x9 mean+std");
}

TEST(PixelFeatures, SayWhatIsWrong) {
  EXPECT_EQ(error_text<c10::ValueError>([] { pixel_features(Image(), PixelFeature::kColor); }),
            "pixel_features: expected an image with pixels");
}
