// What charts have in common: where the data go, levels with their labels, levels to compare with.
#pragma once

#include <slotcon/view/chart_axis.h>
#include <slotcon/view/detail/svg_text.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::view {

/// A level to compare with, drawn as a dashed line.
struct ReferenceLevel {
  double value;
  std::string label;
};

namespace detail {

constexpr int kLevelSteps = 4;        // steps between the labels of the upright axis, at most
constexpr double kDigitWidth = 6.7;   // of the charts' font, in pixels
constexpr double kLabelDistance = 6;  // from an axis to its labels
constexpr double kHalfDigitHeight = 4;

inline void check_chart_size(const char* who, int width, int height) {
  if (width >= 200 && height >= 100) return;
  throw std::invalid_argument(std::string(who) + ": expected a chart of 200 x 100 or more, got " +
                              std::to_string(width) + " x " + std::to_string(height));
}

/// Room for the widest label on the left, and for labels below.
inline PlotArea plot_area(int width, int height, const std::vector<AxisTick>& levels) {
  std::size_t longest = 1;
  for (const auto& level : levels) longest = std::max(longest, level.label.size());
  const double labels = kDigitWidth * static_cast<double>(longest) + kLabelDistance;
  return {labels + 2, 14.0, width - 14.0, height - 38.0};
}

inline std::string draw_levels(const PlotArea& plot, const ChartAxis& axis,
                               const std::vector<AxisTick>& levels) {
  std::string svg;
  for (const auto& level : levels) {
    const double y = axis.position(level.value);
    svg += svg_level(plot, y, "grid");
    svg += svg_text(plot.left - kLabelDistance, y + kHalfDigitHeight, "end", level.label);
  }
  return svg;
}

/// Labels stand above their line, or below where the top is near.
inline std::string draw_references(const PlotArea& plot, const ChartAxis& axis,
                                   const std::vector<ReferenceLevel>& references) {
  std::string svg;
  for (const auto& reference : references) {
    if (!axis.shows(reference.value)) continue;
    const double y = axis.position(reference.value);
    svg += svg_level(plot, y, "reference");
    const double label = y - plot.top < 12 ? y + 14 : y - 5;
    svg += svg_text(plot.right, label, "end reference-label", reference.label);
  }
  return svg;
}

/// The name of the lower axis, in the middle below its labels.
inline std::string draw_name(const PlotArea& plot, int height, const std::string& name) {
  return svg_text((plot.left + plot.right) / 2, height - 4.0, "middle name", name);
}

}  // namespace detail
}  // namespace slotcon::view
