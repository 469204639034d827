// A figure over the steps of a run, made ready for a chart: smoothed, and as long as it needs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::view {

/// Points of a line. `x` is finite and ascending; a `y` that is not finite is a gap.
struct ChartSeries {
  std::vector<double> x, y;
};

namespace detail {

inline void check_series(const char* who, const ChartSeries& series) {
  if (series.x.size() != series.y.size()) {
    throw std::invalid_argument(std::string(who) + ": expected as many y as x, " +
                                std::to_string(series.x.size()) + ", got " +
                                std::to_string(series.y.size()));
  }
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (std::isfinite(series.x[i]) && (i == 0 || series.x[i] > series.x[i - 1])) continue;
    throw std::invalid_argument(std::string(who) + ": expected finite, ascending x, got " +
                                std::to_string(series.x[i]) + " at " + std::to_string(i));
  }
}

/// The sum of some finite values, and how many they are.
struct PartialSum {
  double sum = 0, count = 0;

  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    count += 1;
  }
};

/// The index of the lowest or highest finite value in first ... end - 1; `end` if there is none.
template <class Better>
std::size_t extreme(const std::vector<double>& values, std::size_t first, std::size_t end,
                    const Better& better) {
  std::size_t best = end;
  for (std::size_t i = first; i < end; ++i) {
    if (std::isfinite(values[i]) && (best == end || better(values[i], values[best]))) best = i;
  }
  return best;
}

}  // namespace detail

/// The mean of each value with those up to `half_width` places before and after it.
///
/// What is not finite does not count, and stays where it is: a gap of a line stays a gap. At both
/// ends the windows are shorter. Takes O(n), without differences of running sums: a single huge
/// value moves the means of its own windows and leaves no rounding in those after it.
inline std::vector<double> running_mean(const std::vector<double>& values, std::size_t half_width) {
  // Windows have one length when the values lie between empty ones. Each then is a block of that
  // length, or the end of one block and the start of the next.
  const std::size_t length = 2 * half_width + 1;
  const std::size_t count = values.size() + 2 * half_width;
  const auto value = [&](std::size_t i) {
    const bool inside = i >= half_width && i < half_width + values.size();
    return inside ? values[i - half_width] : std::numeric_limits<double>::quiet_NaN();
  };
  std::vector<detail::PartialSum> since_start(count), until_end(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % length != 0) since_start[i] = since_start[i - 1];
    since_start[i].add(value(i));
  }
  for (std::size_t i = count; i-- > 0;) {
    if (i + 1 < count && (i + 1) % length != 0) until_end[i] = until_end[i + 1];
    until_end[i].add(value(i));
  }
  std::vector<double> means(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    const auto before = i % length == 0 ? detail::PartialSum{} : until_end[i];
    const auto after = since_start[i + length - 1];
    means[i] = (before.sum + after.sum) / (before.count + after.count);
  }
  return means;
}

/// A series with what a chart `columns` >= 1 pixels wide can show of it, from x `low` to `high`.
///
/// Of each column it keeps the lowest and the highest point, in their order, so that no peak is
/// lost and no column is left out; a column without any finite point keeps one as a gap. A series
/// of at most 2 `columns` points stays as it is.
/// Throws std::invalid_argument for another `columns` or low >= high, and a bad series.
inline ChartSeries thinned(const ChartSeries& series, double low, double high, int columns) {
  detail::check_series("thinned", series);
  if (columns < 1 || !(low < high)) {
    throw std::invalid_argument("thinned: expected columns >= 1 and low < high, got " +
                                std::to_string(columns) + ", " + std::to_string(low) + " and " +
                                std::to_string(high));
  }
  if (series.x.size() <= 2 * static_cast<std::size_t>(columns)) return series;
  const auto column = [&](std::size_t i) {
    return std::clamp(std::floor((series.x[i] - low) / (high - low) * columns), 0.0, columns - 1.0);
  };
  ChartSeries kept;
  const auto keep = [&](std::size_t i) {
    kept.x.push_back(series.x[i]);
    kept.y.push_back(series.y[i]);
  };
  for (std::size_t first = 0, end = 0; first < series.x.size(); first = end) {
    while (end < series.x.size() && column(end) == column(first)) ++end;
    const auto lowest = detail::extreme(series.y, first, end, std::less<>());
    const auto highest = detail::extreme(series.y, first, end, std::greater<>());
    keep(lowest == end ? first : std::min(lowest, highest));
    if (lowest != highest) keep(std::max(lowest, highest));
  }
  return kept;
}

}  // namespace slotcon::view
