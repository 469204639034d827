// The axes of a chart: from values to pixels, and the values that are marked.
#pragma once

#include <slotcon/view/number_text.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace slotcon::view {

/// Larger values, which no chart can place, count as missing.
constexpr double kLargestChartValue = 1e300;

/// A marked place of an axis.
struct AxisTick {
  double value;
  std::string label;
};

/// The smallest interval that holds all values shown to it; missing ones (NaN, infinite, larger
/// than kLargestChartValue) do not count.
class ValueRange {
 public:
  void include(double value) {
    if (!(std::abs(value) <= kLargestChartValue)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }

  bool empty() const { return low_ > high_; }
  double low() const { return low_; }
  double high() const { return high_; }

  /// At least as wide as a chart can show: a single value v gets |v| / 2 on each side; nothing, and
  /// 0 alone, become 0 ... 1.
  ValueRange widened() const {
    ValueRange wide = *this;
    const double size = std::max(std::abs(low_), std::abs(high_));
    if (empty() || size == 0) {
      wide.include(0);
      wide.include(1);
    } else if (high_ - low_ <= 1e-9 * size) {
      wide.include(low_ - size / 2);
      wide.include(high_ + size / 2);
    }
    return wide;
  }

 private:
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

namespace detail {

/// 1, 2 or 5 times a power of ten: the smallest such step that takes at most `steps` steps.
inline double tick_step(double low, double high, int steps) {
  const double least = high / steps - low / steps;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double multiple : {1.0, 2.0, 5.0}) {
    if (multiple * power >= least * (1 - 1e-9)) return multiple * power;
  }
  return 10 * power;
}

/// A multiple of a tick's step, with the digits that tell it from the next.
inline std::string tick_label(double value, double step) {
  if (std::abs(value) >= 1e7 || step < 1e-4) return short_number(value);
  return fixed_number(value, std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9))));
}

}  // namespace detail

/// An axis of a chart, linear or logarithmic.
class ChartAxis {
 public:
  /// From `range` to pixels `start` ... `end`, with ticks at round numbers, at most `steps` >= 1
  /// steps; `start` may be the larger, for axes that point up.
  ChartAxis(const ValueRange& range, double start, double end, int steps)
      : ChartAxis(range.widened(), start, end, step_of(range, steps), /*logarithmic=*/false) {}

  /// The same with ends that are ticks; so there may be one step more on each side.
  static ChartAxis rounded(const ValueRange& range, double start, double end, int steps) {
    const auto wide = range.widened();
    const double step = step_of(range, steps);
    ValueRange ends;
    ends.include(step * std::floor(wide.low() / step + 1e-9));
    ends.include(step * std::ceil(wide.high() / step - 1e-9));
    return {ends, start, end, step, /*logarithmic=*/false};
  }

  /// Distances are ratios: from the power of ten below `range` to the one above. Values that are
  /// not positive have no place; `range` is of those that have one.
  static ChartAxis logarithmic(const ValueRange& range, double start, double end, int steps) {
    ValueRange powers;
    powers.include(range.empty() ? 0 : std::floor(std::log10(range.low()) + 1e-9));
    powers.include(range.empty() ? 1 : std::ceil(std::log10(range.high()) - 1e-9));
    if (powers.low() == powers.high()) powers.include(powers.high() + 1);
    const double step = std::ceil((powers.high() - powers.low()) / steps);
    return {powers, start, end, step, /*logarithmic=*/true};
  }

  /// Whether a value has a place.
  bool shows(double value) const {
    return std::abs(value) <= kLargestChartValue && (!logarithmic_ || value > 0);
  }

  /// The pixel of a value that has a place.
  double position(double value) const {
    const double place = logarithmic_ ? std::log10(value) : value;
    return start_ + (place - low_) / (high_ - low_) * (end_ - start_);
  }

  /// The marked values, ascending.
  std::vector<AxisTick> ticks() const {
    const double first = logarithmic_ ? low_ / step_ : std::ceil(low_ / step_ - 1e-9);
    const double last = std::floor(high_ / step_ + 1e-9);
    std::vector<AxisTick> ticks;
    for (double i = first; i <= last; ++i) {
      const double place = i * step_;
      const double value = logarithmic_ ? std::pow(10.0, place) : place;
      const auto label = logarithmic_ ? short_number(value) : detail::tick_label(value, step_);
      ticks.push_back({value, label});
    }
    return ticks;
  }

 private:
  ChartAxis(const ValueRange& range, double start, double end, double step, bool logarithmic)
      : low_(range.low()),
        high_(range.high()),
        step_(step),
        start_(start),
        end_(end),
        logarithmic_(logarithmic) {}

  static double step_of(const ValueRange& range, int steps) {
    const auto wide = range.widened();
    return detail::tick_step(wide.low(), wide.high(), steps);
  }

  double low_, high_, step_;  // of values, or of their logarithms to base 10
  double start_, end_;
  bool logarithmic_;
};

}  // namespace slotcon::view
