#include <gtest/gtest.h>
#include <slotcon/view/chart_style.h>
#include <slotcon/view/line_chart.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/error_text.h"

using slotcon::view::ChartLine;
using slotcon::view::line_chart;
using slotcon::view::LineChartOptions;

namespace {

const double kGap = std::nan("");

LineChartOptions chart_options() {
  LineChartOptions options;
  options.description = "Loss";
  options.x_name = "step";
  return options;
}

/// The path of the line number `index` of a chart.
std::string path(const std::string& svg, std::size_t index = 0) {
  std::size_t at = 0;
  for (std::size_t i = 0; i <= index; ++i) at = svg.find("<path class=\"line", at) + 1;
  const auto start = svg.find(" d=\"", at) + 4;
  return svg.substr(start, svg.find('"', start) - start);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string chart(const std::vector<double>& x, const std::vector<double>& y) {
  return line_chart({{{x, y}}}, chart_options());
}

}  // namespace

TEST(LineChart, DrawsPointsWhereTheyAre) {
  const auto svg = chart({0, 1, 2}, {0, 10, 5});
  // The plot reaches from 21.4 (two digits of 6.7, and 8) to 346 and from 162 up to 14.
  EXPECT_EQ(path(svg), "M21.4 162L183.7 14L346 88");
  EXPECT_EQ(svg.rfind("<svg class=\"chart\" role=\"img\" viewBox=\"0 0 360 200\" "
                      "aria-label=\"Loss\">",
                      0),
            0U);
  EXPECT_EQ(count(svg, "class=\"grid\""), 3U);
  EXPECT_NE(svg.find("<path class=\"grid\" d=\"M21.4 88H346\"/><text x=\"15.4\" y=\"92\" "
                     "class=\"end\">5</text>"),
            std::string::npos);
  EXPECT_NE(svg.find("<text x=\"346\" y=\"178\" class=\"middle\">2.0</text>"), std::string::npos);
  EXPECT_NE(svg.find("<text x=\"183.7\" y=\"196\" class=\"middle name\">step</text>"),
            std::string::npos);
}

TEST(LineChart, LeavesGapsAndDrawsLonelyPointsAsDots) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(path(chart({0, 1, 2, 3, 4}, {0, 10, kGap, 5, infinity})),
            "M21.4 162L102.6 14M264.9 88h0");
  EXPECT_EQ(path(chart({0, 1, 2}, {kGap, 10, kGap})).substr(0, 9), "M183.7 88");
  EXPECT_EQ(path(chart({0, 1}, {kGap, kGap})), "");
  EXPECT_EQ(path(chart({}, {})), "");
  EXPECT_EQ(path(chart({7}, {3})), "M180.4 88h0");
}

TEST(LineChart, LogarithmicAxisLeavesOutWhatIsNotPositive) {
  auto options = chart_options();
  options.logarithmic = true;
  const auto svg = line_chart({{{{0, 1, 2, 3}, {1, 0, 10, 100}}}}, options);
  EXPECT_EQ(path(svg), "M28.1 162h0M240 88L346 14");
}

TEST(LineChart, ShowsReferencesAndZero) {
  auto options = chart_options();
  options.references = {{3.47, "ln 32 = 3.47"}};
  auto svg = line_chart({{{{0, 1}, {1, 2}}}}, options);
  EXPECT_NE(svg.find("class=\"reference\" d=\"M14.7 40.1H346\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("<text x=\"346\" y=\"35.1\" class=\"end reference-label\">ln 32 = 3.47<"),
            std::string::npos)
      << svg;
  options.references.clear();
  EXPECT_EQ(line_chart({{{{0, 1}, {1, 2}}}}, options).find("\"end\">0.0<"), std::string::npos);
  options.from_zero = true;
  EXPECT_NE(line_chart({{{{0, 1}, {1, 2}}}}, options).find("\"end\">0.0<"), std::string::npos);
}

TEST(LineChart, ReferenceAtTheTopHasItsLabelBelow) {
  auto options = chart_options();
  options.references = {{4, "K"}};
  EXPECT_NE(
      line_chart({{{{0, 1}, {0, 2}}}}, options).find("y=\"28\" class=\"end reference-label\""),
      std::string::npos);
}

TEST(LineChart, FaintLineLiesBehindAndTheLastIsRead) {
  const auto svg =
      line_chart({{{{0, 2}, {0, 10}}, true}, {{{0, 2}, {4, 6}}, false}}, chart_options());
  EXPECT_LT(svg.find("class=\"line faint\""), svg.find("class=\"line\""));
  EXPECT_EQ(path(svg, 1), "M21.4 102.8L346 73.2");
  EXPECT_NE(svg.find(">step 0: 4</text>"), std::string::npos);
  EXPECT_NE(svg.find(">step 2: 6</text>"), std::string::npos);
  EXPECT_EQ(count(svg, "class=\"readout\""), 2U);
  // Strips meet half-way.
  EXPECT_NE(svg.find("<rect x=\"21.4\" y=\"14\" width=\"162.3\" height=\"148\" class=\"strip\"/>"),
            std::string::npos)
      << svg;
}

TEST(LineChart, ThinsLongLinesWithoutLosingPeaks) {
  std::vector<double> x(100000), y(100000, 1.0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
  y[50000] = 9;
  const auto svg = chart(x, y);
  EXPECT_LT(svg.size(), 40000U);
  EXPECT_LE(count(path(svg), "L"), 662U);
  EXPECT_NE(path(svg).find(" 28.8L"), std::string::npos);  // 9 on an axis from 0 to 10
}

TEST(LineChart, EscapesItsTexts) {
  auto options = chart_options();
  options.description = "\"><script>";
  options.x_name = "<i>";
  options.references = {{1, "</svg>"}};
  const auto svg = line_chart({{{{0, 1}, {1, 2}}}}, options);
  EXPECT_NE(svg.find("aria-label=\"&quot;&gt;&lt;script&gt;\""), std::string::npos);
  EXPECT_EQ(svg.find("<i>"), std::string::npos);
  EXPECT_EQ(count(svg, "</svg>"), 1U);
}

TEST(LineChart, SaysWhatIsWrong) {
  EXPECT_EQ(error_text<std::invalid_argument>([] {
              chart({1, 0}, {1, 2});
            }),
            "line_chart: expected finite, ascending x, got 0.000000 at 1");
  EXPECT_EQ(error_text<std::invalid_argument>([] {
              auto options = chart_options();
              options.height = 99;
              line_chart({}, options);
            }),
            "line_chart: expected a chart of 200 x 100 or more, got 360 x 99");
}

TEST(ChartStyle, AsksForNoOtherFile) {
  const std::string style = slotcon::view::chart_style();
  EXPECT_EQ(style.find("url("), std::string::npos);
  EXPECT_EQ(style.find("@import"), std::string::npos);
  EXPECT_EQ(style.find('<'), std::string::npos);
}
