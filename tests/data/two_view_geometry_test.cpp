#include <gtest/gtest.h>
#include <slotcon/data/two_view_geometry.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

using slotcon::data::Box;
using slotcon::data::Crop;
using slotcon::data::flip;
using slotcon::data::overlap_boxes;
using slotcon::data::Random;
using slotcon::data::random_crop;
using slotcon::data::random_overlapping_crop;
using slotcon::data::detail::middle_crop;
using slotcon::data::detail::overlap_area;

void expect_crop(const Crop& crop, int top, int left, int height, int width) {
  EXPECT_EQ(crop.top, top);
  EXPECT_EQ(crop.left, left);
  EXPECT_EQ(crop.height, height);
  EXPECT_EQ(crop.width, width);
}

bool is_inside(const Crop& crop, int height, int width) {
  return crop.top >= 0 && crop.left >= 0 && crop.height > 0 && crop.width > 0 &&
         crop.top + crop.height <= height && crop.left + crop.width <= width;
}

TEST(RandomCrop, LiesInsideWithTheAskedAreaAndAspect) {
  Random random(1);
  double least_area = 1, greatest_area = 0, sum = 0;
  for (int draw = 0; draw < 5000; ++draw) {
    const Crop crop = random_crop(480, 640, 0.08, random);
    ASSERT_TRUE(is_inside(crop, 480, 640));
    const double aspect = static_cast<double>(crop.width) / crop.height;
    EXPECT_GT(aspect, 0.74);
    EXPECT_LT(aspect, 1.35);
    const double area = static_cast<double>(crop.height) * crop.width / (480 * 640);
    least_area = std::min(least_area, area);
    greatest_area = std::max(greatest_area, area);
    sum += area;
  }
  EXPECT_GT(least_area, 0.078);
  EXPECT_LT(least_area, 0.085);
  EXPECT_GT(greatest_area, 0.97);
  EXPECT_NEAR(sum / 5000, 0.436,
              0.01);  // the mean of torchvision's rule: large crops fit less often
}

TEST(RandomCrop, ReachesTheWholeImageAndEveryEdge) {
  Random random(2);
  bool top = false, bottom = false, left = false, right = false;
  for (int draw = 0; draw < 2000; ++draw) {
    const Crop crop = random_crop(20, 20, 0.08, random);
    top |= crop.top == 0;
    left |= crop.left == 0;
    bottom |= crop.top + crop.height == 20;
    right |= crop.left + crop.width == 20;
  }
  EXPECT_TRUE(top && bottom && left && right);
  expect_crop(random_crop(1, 1, 1.0, random), 0, 0, 1, 1);
}

TEST(RandomCrop, FallsBackToTheMiddle) {
  expect_crop(middle_crop(100, 1000), 0, 433, 100, 133);  // 4/3 wide
  expect_crop(middle_crop(1000, 100), 433, 0, 133, 100);  // 3/4 wide
  expect_crop(middle_crop(90, 100), 0, 0, 90, 100);       // allowed as it is
  expect_crop(middle_crop(3, 6), 0, 1, 3, 4);             // floor of the odd margin
  expect_crop(middle_crop(10, 6), 1, 0, 8, 6);
  expect_crop(middle_crop(100, 2), 48, 0, 3, 2);  // 2 / .75 = 2.67
  expect_crop(middle_crop(2, 100), 0, 48, 2, 3);
  Random random(3);
  for (int draw = 0; draw < 50; ++draw) {  // an area of a tenth of a line never has the aspect
    expect_crop(random_crop(1, 1000, 0.1, random), 0, 499, 1, 1);
  }
}

// Numbers of the published code, measured for the same image sizes.
TEST(RandomOverlappingCrop, NearlyAlwaysOverlapsOnPhotographs) {
  int disjoint = 0;
  double shared = 0;
  for (std::uint64_t sample = 0; sample < 3000; ++sample) {
    Random random = Random::keyed(1, sample);
    const Crop first = random_crop(480, 640, 0.08, random);
    const Crop second = random_overlapping_crop(480, 640, 0.08, first, random);
    ASSERT_TRUE(is_inside(second, 480, 640));
    disjoint += overlap_area(first, second) == 0;
    shared += overlap_area(first, second) / first.height / first.width / 3000;
  }
  EXPECT_EQ(disjoint, 0);
  EXPECT_NEAR(shared, 0.60, 0.03);
}

TEST(RandomOverlappingCrop, MayBeDisjointOnPanoramas) {
  int disjoint = 0;
  for (std::uint64_t sample = 0; sample < 3000; ++sample) {
    Random random = Random::keyed(2, sample);
    const Crop first = random_crop(100, 1000, 0.08, random);
    const Crop second = random_overlapping_crop(100, 1000, 0.08, first, random);
    disjoint += overlap_area(first, second) == 0;
  }
  EXPECT_NEAR(disjoint / 3000.0, 0.30, 0.05);
}

// Ten tries for an overlap and one more crop without the condition: a share p of crops that overlap
// becomes 1 - (1 - p)^11.
TEST(RandomOverlappingCrop, TriesTenTimes) {
  const Crop corner = {0, 0, 30, 30};
  double free = 0, conditioned = 0;
  constexpr int kSamples = 10000;
  for (std::uint64_t sample = 0; sample < kSamples; ++sample) {
    Random random = Random::keyed(3, sample);
    const auto overlaps = [&](const Crop& crop) {
      // The bound is on the area before it was rounded to whole pixels.
      return overlap_area(corner, crop) >= 0.01 * crop.height * crop.width;
    };
    free += overlaps(random_crop(300, 900, 0.08, random)) / double{kSamples};
    conditioned +=
        overlaps(random_overlapping_crop(300, 900, 0.08, corner, random)) / double{kSamples};
  }
  EXPECT_LT(free, 0.2);
  EXPECT_NEAR(conditioned, 1 - std::pow(1 - free, 11), 0.03);
}

TEST(OverlapBoxes, AreFractionsOfEachCrop) {
  const auto boxes = overlap_boxes({10, 20, 100, 200}, {60, 120, 80, 160});
  // Shared: rows 60 ... 110, columns 120 ... 220.
  EXPECT_EQ(boxes[0], (Box{0.5f, 0.5f, 1.0f, 1.0f}));
  EXPECT_EQ(boxes[1], (Box{0.0f, 0.0f, 0.625f, 0.625f}));
  EXPECT_EQ(overlap_boxes({3, 4, 5, 6}, {3, 4, 5, 6})[1], Box{});
  const auto thirds = overlap_boxes({0, 0, 3, 3}, {1, 2, 7, 7});
  EXPECT_EQ(thirds[0], (Box{2.0f / 3.0f, 1.0f / 3.0f, 1.0f, 1.0f}));
}

TEST(OverlapBoxes, OfDisjointCropsAreEmptyAndNotClamped) {
  const auto boxes = overlap_boxes({0, 0, 10, 10}, {30, 0, 10, 10});
  EXPECT_EQ(boxes[0], (Box{0.0f, 3.0f, 1.0f, 1.0f}));
  EXPECT_EQ(boxes[1], (Box{0.0f, 0.0f, 1.0f, -2.0f}));
}

TEST(Flip, MirrorsABox) {
  EXPECT_EQ(flip(Box{0.25f, 0.0f, 1.0f, 1.0f}), (Box{0.0f, 0.0f, 0.75f, 1.0f}));
  EXPECT_EQ(flip(flip(Box{0.25f, 0.5f, 0.75f, 2.0f})), (Box{0.25f, 0.5f, 0.75f, 2.0f}));
}

}  // namespace
