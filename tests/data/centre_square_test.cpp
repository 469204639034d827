#include <gtest/gtest.h>
#include <slotcon/data/centre_square.h>

#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

using slotcon::data::center_crop;
using slotcon::data::centre_square;
using slotcon::data::Filter;
using slotcon::data::Image;
using slotcon::data::LabelMap;

TEST(CentreSquare, TakesNearestLabels) {
  LabelMap map(4, 7);
  std::iota(map.labels.begin(), map.labels.end(), std::uint8_t{0});
  // To 2 x 3 (7 / 2 truncated) at rows 1, 3 and columns 1, 3, 5; of the margin of 1 half to even,
  // 0, is on the left.
  EXPECT_EQ(centre_square(map, 2).labels, (std::vector<std::uint8_t>{8, 10, 22, 24}));
}

TEST(CentreSquare, ResizesTheShorterSideOfImages) {
  Image image(427, 640);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * i % 251);
  }
  const auto square = centre_square(image, 320);
  EXPECT_EQ(square, center_crop(resize(image, 320, 479, Filter::kBilinear), 320, 320));
  EXPECT_EQ(centre_square(square, 320), square);
}

TEST(CentreSquare, RefusesASideThatIsNotPositive) {
  EXPECT_THROW(centre_square(Image(3, 4), 0), std::invalid_argument);
}

}  // namespace
