#include <gtest/gtest.h>
#include <slotcon/view/bar_chart.h>
#include <slotcon/view/usage_histogram.h>

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/error_text.h"

using slotcon::view::bar_chart;
using slotcon::view::BarChartOptions;
using slotcon::view::ChartBar;
using slotcon::view::usage_histogram;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

ChartBar bar(double value, const std::string& name = "a") {
  return {value, name, name, {255, 0, 16}};
}

}  // namespace

TEST(BarChart, DrawsBarsFromZeroUp) {
  BarChartOptions options;
  options.unit = "%";
  const auto svg = bar_chart({bar(5, "x"), bar(10, "y")}, options);
  // The plot reaches from 28.1 ("10%", three of 6.7, and 8) to 346 and from 162 up to 14.
  EXPECT_NE(svg.find("<g class=\"bar\"><title>x</title><rect x=\"29.1\" y=\"88\" width=\"157\" "
                     "height=\"74\" fill=\"#ff0010\"/></g><text x=\"107.6\" y=\"178\" "
                     "class=\"middle\">x</text>"),
            std::string::npos)
      << svg;
  EXPECT_NE(svg.find("<rect x=\"188\" y=\"14\" width=\"157\" height=\"148\""), std::string::npos)
      << svg;
  EXPECT_NE(svg.find(">10%</text>"), std::string::npos);
}

TEST(BarChart, DropsLabelsWithoutRoom) {
  const std::vector<ChartBar> bars(30, bar(1, "12"));
  EXPECT_EQ(count(bar_chart(bars, {}), ">12</text>"), 0U);
  EXPECT_EQ(count(bar_chart(std::vector<ChartBar>(15, bar(1, "12")), {}), ">12</text>"), 15U);
}

TEST(BarChart, ShowsTheHighestWhereBarsAreTooMany) {
  std::vector<ChartBar> bars(2048, bar(1));
  bars[1000] = bar(7, "highest");
  const auto svg = bar_chart(bars, {});
  EXPECT_LE(count(svg, "<rect"), 166U);
  EXPECT_GE(count(svg, "<rect"), 100U);
  EXPECT_EQ(count(svg, "<title>highest</title>"), 1U);
}

TEST(BarChart, TakesNoBarsAndZeros) {
  EXPECT_EQ(count(bar_chart({}, {}), "<rect"), 0U);
  EXPECT_NE(bar_chart({bar(0)}, {}).find("height=\"0\""), std::string::npos);
}

TEST(BarChart, EscapesItsTexts) {
  const auto svg = bar_chart({bar(1, "<b>")}, {});
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(count(svg, "&lt;b&gt;"), 2U);
}

TEST(BarChart, SaysWhatIsWrong) {
  EXPECT_EQ(error_text<std::invalid_argument>([] { bar_chart({bar(-1, "x")}, {}); }),
            "bar_chart: expected finite values >= 0, got -1.000000 of 'x'");
  EXPECT_EQ(error_text<std::invalid_argument>([] { bar_chart({bar(std::nan(""), "x")}, {}); }),
            "bar_chart: expected finite values >= 0, got nan of 'x'");
  BarChartOptions narrow;
  narrow.width = 10;
  EXPECT_EQ(error_text<std::invalid_argument>([&] { bar_chart({}, narrow); }),
            "bar_chart: expected a chart of 200 x 100 or more, got 10 x 200");
}

TEST(UsageHistogram, HasTheMostUsedPrototypeFirst) {
  const auto svg = usage_histogram({0.2, 0.5, 0.0, 0.3, 0.0});
  EXPECT_NE(svg.find("Share of positions that each of 5 prototypes wins, most used first; "
                     "3 win any."),
            std::string::npos);
  std::size_t at = 0;
  for (const auto* title : {"prototype 1: 50%", "prototype 3: 30%", "prototype 0: 20%",
                            "prototype 2: 0%", "prototype 4: 0%"}) {
    const auto found = svg.find(std::string("<title>") + title + "</title>", at);
    ASSERT_NE(found, std::string::npos) << title;
    at = found;
  }
  EXPECT_NE(svg.find("all alike: 20%"), std::string::npos);
  const auto red = slotcon::view::hex_color(slotcon::view::palette_color(1));
  EXPECT_LT(svg.find("fill=\"" + red), svg.find("prototype 3"));
}

TEST(UsageHistogram, TakesNoPrototypes) { EXPECT_EQ(count(usage_histogram({}), "<rect"), 0U); }
