// Pieces of SVG.
#pragma once

#include <slotcon/view/html.h>

#include <cmath>
#include <string>
#include <string_view>

namespace slotcon::view::detail {

/// A length in pixels, to a tenth: "12", "12.5".
inline std::string pixels(double value) {
  const long tenths = std::lround(value * 10);
  const long size = tenths < 0 ? -tenths : tenths;
  std::string text = (tenths < 0 ? "-" : "") + std::to_string(size / 10);
  if (size % 10 != 0) text += "." + std::to_string(size % 10);
  return text;
}

/// The rectangle in which a chart draws its data.
struct PlotArea {
  double left, top, right, bottom;
};

/// The start tag of a drawing that scales with the page. A reader that cannot see gets
/// `description`.
inline std::string svg_start(int width, int height, std::string_view description) {
  return "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 " + std::to_string(width) + " " +
         std::to_string(height) + "\" aria-label=\"" + escape_html(description) + "\">";
}

inline std::string svg_text(double x, double y, std::string_view classes, std::string_view text) {
  return "<text x=\"" + pixels(x) + "\" y=\"" + pixels(y) + "\" class=\"" + std::string(classes) +
         "\">" + escape_html(text) + "</text>";
}

/// A line from left to right.
inline std::string svg_level(const PlotArea& plot, double y, std::string_view classes) {
  return "<path class=\"" + std::string(classes) + "\" d=\"M" + pixels(plot.left) + " " +
         pixels(y) + "H" + pixels(plot.right) + "\"/>";
}

inline std::string svg_rectangle(double left, double top, double right, double bottom,
                                 std::string_view attributes) {
  return "<rect x=\"" + pixels(left) + "\" y=\"" + pixels(top) + "\" width=\"" +
         pixels(right - left) + "\" height=\"" + pixels(bottom - top) + "\"" +
         std::string(attributes) + "/>";
}

}  // namespace slotcon::view::detail
