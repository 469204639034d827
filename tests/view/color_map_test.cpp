#include <gtest/gtest.h>
#include <slotcon/view/blend.h>
#include <slotcon/view/color_map.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>

using slotcon::view::blend;
using slotcon::view::Color;
using slotcon::view::heat_color;
using slotcon::view::palette_color;

TEST(HeatColor, GoesFromBlueToRed) {
  EXPECT_EQ(heat_color(0.0), (Color{0, 0, 255}));
  EXPECT_EQ(heat_color(0.125), (Color{0, 128, 255}));
  EXPECT_EQ(heat_color(0.25), (Color{0, 255, 255}));
  EXPECT_EQ(heat_color(0.5), (Color{0, 255, 0}));
  EXPECT_EQ(heat_color(0.75), (Color{255, 255, 0}));
  EXPECT_EQ(heat_color(0.875), (Color{255, 128, 0}));
  EXPECT_EQ(heat_color(1.0), (Color{255, 0, 0}));
}

TEST(HeatColor, EndsAtItsEnds) {
  EXPECT_EQ(heat_color(-3.0), heat_color(0.0));
  EXPECT_EQ(heat_color(7.0), heat_color(1.0));
  EXPECT_EQ(heat_color(std::numeric_limits<double>::infinity()), heat_color(1.0));
  EXPECT_EQ(heat_color(std::nan("")), heat_color(0.0));
}

TEST(PaletteColor, StartsWithTheMostDifferentColours) {
  // From generate_palette.py.
  EXPECT_EQ(palette_color(0), (Color{96, 0, 255}));
  EXPECT_EQ(palette_color(1), (Color{255, 0, 0}));
  EXPECT_EQ(palette_color(2), (Color{0, 96, 0}));
  EXPECT_EQ(palette_color(3), (Color{0, 223, 0}));
  EXPECT_EQ(palette_color(15), (Color{191, 255, 64}));
  EXPECT_EQ(palette_color(100), (Color{159, 96, 159}));
  EXPECT_EQ(palette_color(255), (Color{128, 96, 64}));
}

TEST(PaletteColor, RepeatsAfter256DifferentColours) {
  std::set<Color> colors;
  for (std::size_t i = 0; i < 256; ++i) {
    colors.insert(palette_color(i));
    EXPECT_EQ(palette_color(i), palette_color(i + 256));
  }
  EXPECT_EQ(colors.size(), 256u);
  EXPECT_EQ(colors.count(slotcon::view::kBlack), 0u);
  EXPECT_EQ(colors.count(slotcon::view::kWhite), 0u);
}

TEST(Blend, MixesAndRounds) {
  std::uint8_t pixel[3] = {100, 0, 255};
  blend(pixel, {255, 255, 0}, 0.6);
  EXPECT_EQ(pixel[0], 162);  // 60 + 102
  EXPECT_EQ(pixel[1], 102);
  EXPECT_EQ(pixel[2], 153);
  std::uint8_t half[3] = {0, 1, 255};
  blend(half, {1, 2, 255}, 0.5);
  EXPECT_EQ(half[0], 1);  // 0.5 goes up
  EXPECT_EQ(half[1], 2);
  EXPECT_EQ(half[2], 255);
}

TEST(Blend, LeavesThePixelOrReplacesItAtTheEnds) {
  std::uint8_t pixel[3] = {1, 2, 3};
  blend(pixel, {9, 9, 9}, 1.0);
  EXPECT_EQ(pixel[2], 3);
  blend(pixel, {9, 8, 7}, 0.0);
  EXPECT_EQ(pixel[0], 9);
  EXPECT_EQ(pixel[2], 7);
}
