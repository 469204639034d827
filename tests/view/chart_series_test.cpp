#include <gtest/gtest.h>
#include <slotcon/view/chart_series.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/support/error_text.h"

using slotcon::view::ChartSeries;
using slotcon::view::running_mean;
using slotcon::view::thinned;

namespace {

const double kGap = std::nan("");

/// Values of a generator that is the same everywhere, some of them gaps.
std::vector<double> some_values(std::size_t count) {
  std::mt19937 random(3);
  std::vector<double> values(count);
  for (auto& value : values)
    value = random() % 10 == 0 ? kGap : static_cast<double>(random() % 1000);
  return values;
}

ChartSeries numbered(std::vector<double> y) {
  ChartSeries series{std::vector<double>(y.size()), std::move(y)};
  std::iota(series.x.begin(), series.x.end(), 0.0);
  return series;
}

double plain_mean(const std::vector<double>& values, std::size_t i, std::size_t half_width) {
  double sum = 0, count = 0;
  for (std::size_t j = i < half_width ? 0 : i - half_width;
       j < std::min(values.size(), i + half_width + 1); ++j) {
    if (!std::isfinite(values[j])) continue;
    sum += values[j];
    ++count;
  }
  return sum / count;
}

}  // namespace

TEST(RunningMean, IsTheMeanOfEachWindow) {
  for (const std::size_t count : {0, 1, 2, 5, 17, 100}) {
    for (const std::size_t half_width : {0, 1, 2, 7, 60, 300}) {
      const auto values = some_values(count);
      const auto means = running_mean(values, half_width);
      ASSERT_EQ(means.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        if (std::isnan(values[i])) {
          EXPECT_TRUE(std::isnan(means[i]));
        } else {
          EXPECT_NEAR(means[i], plain_mean(values, i, half_width), 1e-9)
              << i << " of " << count << ", " << half_width;
        }
      }
    }
  }
}

TEST(RunningMean, ForgetsAHugeValue) {
  std::vector<double> values(20, 0.25);
  values[4] = 1e300;
  const auto means = running_mean(values, 2);
  EXPECT_EQ(means[1], 0.25);
  EXPECT_EQ(means[6], 1e300 / 5);
  for (std::size_t i = 7; i < 20; ++i) EXPECT_EQ(means[i], 0.25) << i;
}

TEST(Thinned, KeepsAShortSeries) {
  const auto series = numbered({1, kGap, 3, 4});
  const auto kept = thinned(series, 0, 3, 2);
  EXPECT_EQ(kept.x, series.x);
  EXPECT_EQ(kept.y[3], 4);
  EXPECT_TRUE(std::isnan(kept.y[1]));
}

TEST(Thinned, KeepsLowestAndHighestOfEachColumnInTheirOrder) {
  const auto kept = thinned(numbered({5, 9, 1, 4, 4, 4, 2, 3, 8, 6}), 0, 9, 3);
  EXPECT_EQ(kept.x, (std::vector<double>{1, 2, 3, 6, 8}));  // columns 0..2, 3..5, 6..9
  EXPECT_EQ(kept.y, (std::vector<double>{9, 1, 4, 2, 8}));
}

TEST(Thinned, GapIsOneWhereItFillsAColumn) {
  const auto kept = thinned(numbered({5, kGap, 1, kGap, kGap, kGap, 2, 3, kGap, 6}), 0, 9, 3);
  EXPECT_EQ(kept.x, (std::vector<double>{0, 2, 3, 6, 9}));
  EXPECT_TRUE(std::isnan(kept.y[2]));
  EXPECT_EQ(kept.y[4], 6);
}

TEST(Thinned, LosesNoPeakOfALongSeries) {
  auto values = std::vector<double>(100000, 1.0);
  values[77777] = 50;
  values[12345] = -3;
  const auto kept = thinned(numbered(values), 0, 99999, 300);
  EXPECT_LE(kept.x.size(), 600U);
  EXPECT_EQ(*std::max_element(kept.y.begin(), kept.y.end()), 50);
  EXPECT_EQ(*std::min_element(kept.y.begin(), kept.y.end()), -3);
  EXPECT_TRUE(std::is_sorted(kept.x.begin(), kept.x.end()));
}

TEST(Thinned, SaysWhatIsWrong) {
  const auto error = [](const ChartSeries& series, double low, double high, int columns) {
    return error_text<std::invalid_argument>([&] { thinned(series, low, high, columns); });
  };
  EXPECT_EQ(error({{1, 2}, {1}}, 0, 1, 1), "thinned: expected as many y as x, 2, got 1");
  EXPECT_EQ(error({{1, 1}, {1, 2}}, 0, 1, 1),
            "thinned: expected finite, ascending x, got 1.000000 at 1");
  EXPECT_EQ(error({{kGap}, {1}}, 0, 1, 1), "thinned: expected finite, ascending x, got nan at 0");
  EXPECT_EQ(error({}, 0, 1, 0),
            "thinned: expected columns >= 1 and low < high, got 0, 0.000000 and 1.000000");
  EXPECT_EQ(error({}, 1, 1, 5),
            "thinned: expected columns >= 1 and low < high, got 5, 1.000000 and 1.000000");
}
