#include <gtest/gtest.h>
#include <slotcon/view/chart_axis.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>

using slotcon::view::ChartAxis;
using slotcon::view::ValueRange;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

ValueRange range_of(std::initializer_list<double> values) {
  ValueRange range;
  for (const double value : values) range.include(value);
  return range;
}

std::string labels(const ChartAxis& axis) {
  std::string text;
  for (const auto& tick : axis.ticks()) text += (text.empty() ? "" : " ") + tick.label;
  return text;
}

std::string rounded_labels(std::initializer_list<double> values) {
  return labels(ChartAxis::rounded(range_of(values), 0, 1, 4));
}

}  // namespace

TEST(ValueRange, LeavesOutWhatIsMissing) {
  const auto range = range_of({3, std::nan(""), -1, kInfinity, -kInfinity, 1e301});
  EXPECT_EQ(range.low(), -1);
  EXPECT_EQ(range.high(), 3);
  EXPECT_TRUE(range_of({std::nan("")}).empty());
}

TEST(ValueRange, IsWidenedWhereThereIsNoWidth) {
  const auto ends = [](const ValueRange& range) {
    return std::make_pair(range.widened().low(), range.widened().high());
  };
  EXPECT_EQ(ends(range_of({})), std::make_pair(0.0, 1.0));
  EXPECT_EQ(ends(range_of({0})), std::make_pair(0.0, 1.0));
  EXPECT_EQ(ends(range_of({-4})), std::make_pair(-6.0, -2.0));
  EXPECT_EQ(ends(range_of({1, 1 + 1e-12})).first, 1 - (1 + 1e-12) / 2);
  EXPECT_EQ(ends(range_of({2, 3})), std::make_pair(2.0, 3.0));
}

TEST(ChartAxis, PlacesValuesInBothDirections) {
  const ChartAxis right(range_of({2, 4}), 100, 200, 4);
  EXPECT_EQ(right.position(2), 100);
  EXPECT_EQ(right.position(3.5), 175);
  const ChartAxis up(range_of({2, 4}), 200, 100, 4);
  EXPECT_EQ(up.position(3.5), 125);
}

TEST(ChartAxis, RoundsItsEndsToTicks) {
  EXPECT_EQ(rounded_labels({0, 10}), "0 5 10");
  EXPECT_EQ(rounded_labels({2.1, 3.68}), "2.0 2.5 3.0 3.5 4.0");
  EXPECT_EQ(rounded_labels({-0.3, 0.2}), "-0.4 -0.2 0.0 0.2");
  EXPECT_EQ(rounded_labels({0.99, 1}), "0.990 0.995 1.000");
  EXPECT_EQ(rounded_labels({0, 2639}), "0 1,000 2,000 3,000");
  EXPECT_EQ(rounded_labels({0, 3e-6}), "0 1e-6 2e-6 3e-6");
  EXPECT_EQ(rounded_labels({0, 3e38}), "0 1e38 2e38 3e38");
  EXPECT_EQ(rounded_labels({}), "0.0 0.5 1.0");
}

TEST(ChartAxis, MarksOnlyWhatItShows) {
  EXPECT_EQ(labels(ChartAxis(range_of({16, 2639}), 0, 1, 6)), "500 1,000 1,500 2,000 2,500");
  EXPECT_EQ(labels(ChartAxis(range_of({7}), 0, 1, 6)), "4 6 8 10");
}

TEST(ChartAxis, HasTicksEverywhere) {
  for (double low : {-1e5, -123.4, -0.7, 0.0, 0.04, 999.9, 1.7e6}) {
    for (double width = 1e-3; width < 1e9; width *= 3.1) {
      const auto axis = ChartAxis::rounded(range_of({low, low + width}), 0, 100, 4);
      const auto ticks = axis.ticks();
      ASSERT_GE(ticks.size(), 2U) << low << " " << width;
      ASSERT_LE(ticks.size(), 6U) << low << " " << width;
      EXPECT_NEAR(axis.position(ticks.front().value), 0, 1e-6) << low << " " << width;
      EXPECT_NEAR(axis.position(ticks.back().value), 100, 1e-6);
      EXPECT_LE(ticks.front().value, low + 1e-6 * width);
      EXPECT_GE(ticks.back().value, low + width - 1e-6 * width);
    }
  }
}

TEST(ChartAxis, LogarithmicOneHasEqualRatiosAtEqualDistances) {
  const auto axis = ChartAxis::logarithmic(range_of({0.3, 40}), 0, 300, 4);
  EXPECT_EQ(labels(axis), "0.1 1 10 100");
  EXPECT_NEAR(axis.position(0.1), 0, 1e-9);
  EXPECT_NEAR(axis.position(std::sqrt(10)), 150, 1e-9);
  EXPECT_NEAR(axis.position(100), 300, 1e-9);
  EXPECT_TRUE(axis.shows(1e-3));
  EXPECT_FALSE(axis.shows(0));
  EXPECT_FALSE(axis.shows(-1));
  EXPECT_FALSE(axis.shows(kInfinity));
}

TEST(ChartAxis, LogarithmicOneTakesWideAndSingleRanges) {
  EXPECT_EQ(labels(ChartAxis::logarithmic(range_of({1e-8, 1e8}), 0, 1, 4)),
            "1e-8 1e-4 1 10,000 1e8");
  EXPECT_EQ(labels(ChartAxis::logarithmic(range_of({1}), 0, 1, 4)), "1 10");
  EXPECT_EQ(labels(ChartAxis::logarithmic(range_of({5}), 0, 1, 4)), "1 10");
  EXPECT_EQ(labels(ChartAxis::logarithmic(range_of({}), 0, 1, 4)), "1 10");
}
