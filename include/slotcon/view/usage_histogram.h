// The histogram of how often prototypes win.
#pragma once

#include <slotcon/view/bar_chart.h>
#include <slotcon/view/color_map.h>
#include <slotcon/view/number_text.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

namespace slotcon::view {

/// Draws the shares of `prototype_usage` as bars, the most used prototype on the left, in the
/// colours that prototypes have in segmentations, with the level 1/K of an even use.
///
/// Shares are in [0,1] and drawn in percent. Of equal ones the lower prototype stands on the left.
/// See `bar_chart` for errors, and for what happens to thousands of prototypes.
inline std::string usage_histogram(const std::vector<double>& usage) {
  std::vector<std::size_t> order(usage.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return usage[a] > usage[b]; });
  std::vector<ChartBar> bars;
  std::size_t used = 0;
  for (const auto k : order) {
    if (usage[k] > 0) ++used;
    bars.push_back({100 * usage[k], std::to_string(k),
                    "prototype " + std::to_string(k) + ": " + percent_text(usage[k]),
                    palette_color(k)});
  }
  BarChartOptions options;
  options.description = "Share of positions that each of " + std::to_string(usage.size()) +
                        " prototypes wins, most used first; " + std::to_string(used) + " win any.";
  options.x_name = "prototype, most used first";
  options.unit = "%";
  if (!usage.empty()) {
    const double even = 1.0 / static_cast<double>(usage.size());
    options.references.push_back({100 * even, "all alike: " + percent_text(even)});
  }
  return bar_chart(bars, options);
}

}  // namespace slotcon::view
