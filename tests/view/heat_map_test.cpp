#include <gtest/gtest.h>
#include <slotcon/view/heat_map.h>

#include <limits>
#include <stdexcept>

#include "tests/support/error_text.h"
#include "tests/view/picture.h"

using slotcon::data::Image;
using slotcon::view::Color;
using slotcon::view::heat_map;

namespace {

torch::Tensor example_scores() { return torch::tensor({{0.1, 0.93, 0.41}, {0.32, -0.7, 0.53}}); }

}  // namespace

TEST(HeatMap, LaysUpsampledScoresOverThePicture) {
  const Image picture = heat_map(example_scores(), filled(8, 9, {200, 200, 200}), 0.25);
  // From generate_view.py.
  EXPECT_EQ(color_at(picture, 0, 0), (Color{50, 241, 57}));
  EXPECT_EQ(color_at(picture, 2, 5), (Color{241, 193, 50}));
  EXPECT_EQ(color_at(picture, 4, 6), (Color{134, 241, 50}));
  EXPECT_EQ(color_at(picture, 7, 4), (Color{50, 50, 241}));
  EXPECT_EQ(color_at(picture, 7, 8), (Color{241, 238, 50}));
}

TEST(HeatMap, ScalesByTheLeastAndTheLargestScore) {
  const Image image = filled(8, 9, {10, 20, 30});
  EXPECT_EQ(heat_map(example_scores(), image), heat_map(example_scores() * 40 - 7, image));
  const Image sharp = heat_map(example_scores(), Image(2, 3), 0.0);
  EXPECT_EQ(color_at(sharp, 0, 1), slotcon::view::heat_color(1));
  EXPECT_EQ(color_at(sharp, 1, 1), slotcon::view::heat_color(0));
}

TEST(HeatMap, OfAConstantMapIsBlue) {
  const Image picture = heat_map(torch::full({3, 3}, 0.4), Image(5, 4), 0.0);
  EXPECT_EQ(picture, filled(5, 4, {0, 0, 255}));
}

TEST(HeatMap, LeavesThePictureAtWeightOne) {
  const Image image = filled(4, 4, {7, 99, 201});
  EXPECT_EQ(heat_map(torch::rand({2, 2}), image, 1.0), image);
}

TEST(HeatMap, TakesAnyFloatingTypeAndLayout) {
  const torch::Tensor scores = torch::tensor({{0.f, 0.25f, 1.f}, {0.5f, 0.75f, 0.125f}});
  const Image expected = heat_map(scores, Image(6, 6), 0.0);
  EXPECT_EQ(heat_map(scores.to(torch::kBFloat16), Image(6, 6), 0.0), expected);
  EXPECT_EQ(heat_map(scores.t().contiguous().t(), Image(6, 6), 0.0), expected);
}

TEST(HeatMap, SaysWhatIsWrong) {
  const Image image(2, 2);
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              heat_map(torch::zeros({1, 2, 2}), image);
            }),
            "heat_map: expected scores [h,w] with positions, got [1, 2, 2]");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              heat_map(torch::zeros({0, 2}), image);
            }),
            "heat_map: expected scores [h,w] with positions, got [0, 2]");
  EXPECT_EQ(error_text<c10::TypeError>([&] {
              heat_map(torch::zeros({2, 2}, torch::kInt), image);
            }),
            "heat_map: expected floating scores, got Int");
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              heat_map(torch::full({2, 2}, infinity), image);
            }),
            "heat_map: expected finite scores");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              heat_map(torch::zeros({2, 2}), Image());
            }),
            "heat_map: expected an image with pixels");
  EXPECT_EQ(error_text<std::invalid_argument>([&] {
              heat_map(torch::zeros({2, 2}), image, 1.5);
            }),
            "heat_map: expected an image weight in [0,1], got 1.5");
}
