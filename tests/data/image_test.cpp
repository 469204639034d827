#include <gtest/gtest.h>
#include <slotcon/data/image.h>

#include <stdexcept>

#include "fixture.h"

namespace {

using slotcon::data::Image;
using slotcon::data::LabelMap;

TEST(Image, IsBlackAndStoresPixelsRowByRow) {
  Image image(2, 3);
  EXPECT_EQ(image.pixels, std::vector<std::uint8_t>(18));
  image.at(1, 2)[1] = 7;
  EXPECT_EQ(image.pixels[3 * (1 * 3 + 2) + 1], 7);
}

TEST(Image, RefusesSizesThatAreNotPositive) {
  EXPECT_EQ(error_of<std::invalid_argument>([] { Image(0, 3); }),
            "Image: expected a positive height and width, got 0 x 3");
  EXPECT_EQ(error_of<std::invalid_argument>([] { LabelMap(4, -1); }),
            "LabelMap: expected a positive height and width, got 4 x -1");
}

TEST(Image, EqualsAnImageOfTheSameShapeAndPixels) {
  Image a(2, 3), b(2, 3);
  EXPECT_EQ(a, b);
  b.pixels[4] = 1;
  EXPECT_NE(a, b);
  EXPECT_NE(Image(2, 3), Image(3, 2));
}

TEST(LabelMap, StoresLabelsRowByRow) {
  LabelMap map(2, 3);
  map.at(1, 0) = 9;
  EXPECT_EQ(map.labels, (std::vector<std::uint8_t>{0, 0, 0, 9, 0, 0}));
  EXPECT_NE(map, LabelMap(2, 3));
}

}  // namespace
