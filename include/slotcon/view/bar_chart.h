// A chart of shares as bars.
#pragma once

#include <slotcon/view/chart_axis.h>
#include <slotcon/view/color_map.h>
#include <slotcon/view/detail/chart_frame.h>
#include <slotcon/view/detail/svg_text.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::view {

/// A bar of a chart.
struct ChartBar {
  double value;       ///< >= 0 and finite
  std::string label;  ///< below it, where all labels find room
  std::string title;  ///< what it says when it is pointed at
  Color color;
};

/// The look of a bar chart.
struct BarChartOptions {
  std::string description;                 ///< what it shows, for readers who cannot see
  std::string x_name;                      ///< of the lower axis
  std::string unit;                        ///< after the numbers of the upright axis
  std::vector<ReferenceLevel> references;  ///< always in sight
  int width = 360;                         ///< >= 200: of the drawing, in its own pixels
  int height = 200;                        ///< >= 100
};

namespace detail {

inline void check_bars(const std::vector<ChartBar>& bars) {
  for (const auto& bar : bars) {
    if (bar.value >= 0 && bar.value <= kLargestChartValue) continue;
    throw std::invalid_argument("bar_chart: expected finite values >= 0, got " +
                                std::to_string(bar.value) + " of '" + bar.title + "'");
  }
}

/// Bars of which a plot has room for `count`: the highest of each group of neighbours.
inline std::vector<ChartBar> highest_of_neighbours(const std::vector<ChartBar>& bars,
                                                   std::size_t count) {
  if (bars.size() <= count) return bars;
  const std::size_t group = (bars.size() + count - 1) / count;
  std::vector<ChartBar> highest;
  for (std::size_t first = 0; first < bars.size(); first += group) {
    const auto begin = bars.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end =
        bars.begin() + static_cast<std::ptrdiff_t>(std::min(first + group, bars.size()));
    highest.push_back(*std::max_element(
        begin, end, [](const ChartBar& a, const ChartBar& b) { return a.value < b.value; }));
  }
  return highest;
}

inline std::string draw_bar(const ChartBar& bar, double left, double right, double top,
                            double bottom) {
  return "<g class=\"bar\"><title>" + escape_html(bar.title) + "</title>" +
         svg_rectangle(left, top, right, bottom, " fill=\"" + hex_color(bar.color) + "\"") + "</g>";
}

/// Bars that share the width of the plot, with their labels if those find room.
inline std::string draw_bars(const PlotArea& plot, const ChartAxis& axis,
                             const std::vector<ChartBar>& all_bars) {
  const auto bars =
      highest_of_neighbours(all_bars, static_cast<std::size_t>((plot.right - plot.left) / 2));
  std::size_t longest = 0;
  for (const auto& bar : bars) longest = std::max(longest, bar.label.size());
  const double pitch = (plot.right - plot.left) / static_cast<double>(bars.size());
  const double gap = pitch >= 6 ? 1 : 0;
  const bool labelled =
      bars.size() == all_bars.size() && kDigitWidth * static_cast<double>(longest) + 2 <= pitch;
  std::string svg;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double left = plot.left + pitch * static_cast<double>(i);
    svg += draw_bar(bars[i], left + gap, left + pitch - gap, axis.position(bars[i].value),
                    plot.bottom);
    if (labelled) svg += svg_text(left + pitch / 2, plot.bottom + 16, "middle", bars[i].label);
  }
  return svg;
}

}  // namespace detail

/// Draws bars from 0 up as SVG, the first one on the left, to be put into a page that has
/// `chart_style()`.
///
/// Where there are more bars than every second pixel has room for, each stands for some neighbours
/// and shows the highest of them. Labels are drawn where all of them find room beside each other.
/// Throws std::invalid_argument for a value that is negative or not finite, and a chart that is too
/// small.
inline std::string bar_chart(const std::vector<ChartBar>& bars, const BarChartOptions& options) {
  detail::check_chart_size("bar_chart", options.width, options.height);
  detail::check_bars(bars);
  ValueRange range;
  range.include(0);
  for (const auto& bar : bars) range.include(bar.value);
  for (const auto& reference : options.references) range.include(reference.value);
  auto levels = ChartAxis::rounded(range, 1, 0, detail::kLevelSteps).ticks();
  for (auto& level : levels) level.label += options.unit;
  const auto plot = detail::plot_area(options.width, options.height, levels);
  const auto axis = ChartAxis::rounded(range, plot.bottom, plot.top, detail::kLevelSteps);

  std::string svg = detail::svg_start(options.width, options.height, options.description);
  svg += detail::draw_levels(plot, axis, levels);
  svg += detail::draw_bars(plot, axis, bars);
  svg += detail::draw_name(plot, options.height, options.x_name);
  svg += detail::draw_references(plot, axis, options.references);
  return svg + "</svg>\n";
}

}  // namespace slotcon::view
