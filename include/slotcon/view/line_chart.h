// A chart of figures over the steps of a run.
#pragma once

#include <slotcon/view/chart_axis.h>
#include <slotcon/view/chart_series.h>
#include <slotcon/view/detail/chart_frame.h>
#include <slotcon/view/detail/svg_text.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace slotcon::view {

/// A line of a chart.
struct ChartLine {
  ChartSeries points;
  bool faint = false;  ///< behind the others, pale
};

/// The look of a line chart.
struct LineChartOptions {
  std::string description;   ///< what it shows, for readers who cannot see
  std::string x_name;        ///< of the lower axis, "step"
  bool logarithmic = false;  ///< upright axis; values that are not positive are gaps
  bool from_zero = false;    ///< the upright axis shows 0 too; not for a logarithmic one
  std::vector<ReferenceLevel> references;  ///< always in sight
  int width = 360;                         ///< >= 200: of the drawing, in its own pixels
  int height = 200;                        ///< >= 100
};

namespace detail {

/// The upright axis of `lines`, from pixel `start` up to `end`.
inline ChartAxis upright_axis(const std::vector<ChartLine>& lines, const LineChartOptions& options,
                              double start, double end) {
  ValueRange range;
  const auto include = [&](double value) {
    if (!options.logarithmic || value > 0) range.include(value);
  };
  for (const auto& line : lines) {
    for (const double y : line.points.y) include(y);
  }
  for (const auto& reference : options.references) include(reference.value);
  if (options.from_zero) include(0);
  return options.logarithmic ? ChartAxis::logarithmic(range, start, end, kLevelSteps)
                             : ChartAxis::rounded(range, start, end, kLevelSteps);
}

/// Straight lines between neighbours; points without neighbours are dots.
inline std::string path_of(const ChartSeries& points, const ChartAxis& x, const ChartAxis& y) {
  const auto count = points.x.size();
  const auto shows = [&](std::size_t i) { return i < count && y.shows(points.y[i]); };
  std::string path;
  for (std::size_t i = 0; i < count; ++i) {
    if (!shows(i)) continue;
    const bool starts = i == 0 || !shows(i - 1);
    path += (starts ? "M" : "L") + pixels(x.position(points.x[i])) + " " +
            pixels(y.position(points.y[i]));
    if (starts && !shows(i + 1)) path += "h0";
  }
  return path;
}

/// The points of a line that can be pointed at: those a few pixels from the one before.
inline std::vector<std::size_t> readable_points(const ChartSeries& points, const ChartAxis& x_axis,
                                                const ChartAxis& y_axis) {
  constexpr double kLeastDistance = 6;
  std::vector<std::size_t> readable;
  for (std::size_t i = 0; i < points.x.size(); ++i) {
    if (!y_axis.shows(points.y[i])) continue;
    const bool near =
        !readable.empty() &&
        x_axis.position(points.x[i]) - x_axis.position(points.x[readable.back()]) < kLeastDistance;
    if (!near) readable.push_back(i);
  }
  return readable;
}

/// Strips across the plot, each of which shows the value of its point when it is pointed at.
inline std::string draw_readouts(const PlotArea& plot, const ChartSeries& points,
                                 const ChartAxis& x_axis, const ChartAxis& y_axis,
                                 const std::string& x_name) {
  const auto readable = readable_points(points, x_axis, y_axis);
  const auto place = [&](std::size_t i) { return x_axis.position(points.x[readable[i]]); };
  std::string svg;
  for (std::size_t i = 0; i < readable.size(); ++i) {
    const double left = i == 0 ? plot.left : (place(i - 1) + place(i)) / 2;
    const double right = i + 1 == readable.size() ? plot.right : (place(i) + place(i + 1)) / 2;
    const double step = points.x[readable[i]], value = points.y[readable[i]];
    const char* const anchor = place(i) < (plot.left + plot.right) / 2 ? "start" : "end";
    svg += "<g class=\"readout\">" +
           svg_rectangle(left, plot.top, right, plot.bottom, " class=\"strip\"") +
           "<path class=\"dot\" d=\"M" + pixels(place(i)) + " " + pixels(y_axis.position(value)) +
           "h0\"/>" +
           svg_text(place(i), plot.top - 3, anchor,
                    x_name + " " + short_number(step) + ": " + short_number(value)) +
           "</g>";
  }
  return svg;
}

}  // namespace detail

/// Draws lines over a common axis as SVG, to be put into a page that has `chart_style()`.
///
/// The first line lies at the back; what is pointed at shows its value on the last one. The upright
/// axis ends at round numbers around all values and references. Values that are not finite, or
/// larger than kLargestChartValue, are gaps; a point between two gaps is a dot. Lines of more than
/// two points a pixel are thinned; see `thinned`. The drawing is as wide as the page gives it room.
/// Throws std::invalid_argument for a bad series and a chart that is too small.
inline std::string line_chart(const std::vector<ChartLine>& lines,
                              const LineChartOptions& options) {
  detail::check_chart_size("line_chart", options.width, options.height);
  ValueRange x_range;
  for (const auto& line : lines) {
    detail::check_series("line_chart", line.points);
    for (const double x : line.points.x) x_range.include(x);
  }
  const auto levels = detail::upright_axis(lines, options, 1, 0).ticks();
  const auto plot = detail::plot_area(options.width, options.height, levels);
  const auto y_axis = detail::upright_axis(lines, options, plot.bottom, plot.top);
  const ChartAxis x_axis(x_range, plot.left, plot.right, 6);

  std::string svg = detail::svg_start(options.width, options.height, options.description);
  svg += detail::draw_levels(plot, y_axis, levels);
  for (const auto& tick : x_axis.ticks()) {
    svg += detail::svg_text(x_axis.position(tick.value), plot.bottom + 16, "middle", tick.label);
  }
  svg += detail::draw_name(plot, options.height, options.x_name);
  svg += detail::draw_references(plot, y_axis, options.references);
  const auto range = x_range.widened();
  for (const auto& line : lines) {
    const auto points =
        thinned(line.points, range.low(), range.high(), static_cast<int>(plot.right - plot.left));
    svg += std::string("<path class=\"") + (line.faint ? "line faint" : "line") + "\" d=\"" +
           detail::path_of(points, x_axis, y_axis) + "\"/>";
  }
  if (!lines.empty()) {
    svg += detail::draw_readouts(plot, lines.back().points, x_axis, y_axis, options.x_name);
  }
  return svg + "</svg>\n";
}

}  // namespace slotcon::view
