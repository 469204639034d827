#include <gtest/gtest.h>
#include <slotcon/view/number_text.h>

#include <cmath>
#include <limits>

using slotcon::view::fixed_number;
using slotcon::view::percent_text;
using slotcon::view::short_number;

TEST(FixedNumber, HasItsDecimalsAndCommas) {
  EXPECT_EQ(fixed_number(0.5, 3), "0.500");
  EXPECT_EQ(fixed_number(2640, 0), "2,640");
  EXPECT_EQ(fixed_number(999, 0), "999");
  EXPECT_EQ(fixed_number(-1234567.891, 2), "-1,234,567.89");
  EXPECT_EQ(fixed_number(999999.96, 1), "1,000,000.0");
  EXPECT_EQ(fixed_number(-0.001, 2), "0.00");
  EXPECT_EQ(fixed_number(std::nan(""), 2), "-");
  EXPECT_EQ(fixed_number(-std::numeric_limits<double>::infinity(), 2), "-");
}

TEST(ShortNumber, HasThreeDigits) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(-0.0), "0");
  EXPECT_EQ(short_number(1.3649), "1.36");
  EXPECT_EQ(short_number(2), "2");
  EXPECT_EQ(short_number(21.09), "21.1");
  EXPECT_EQ(short_number(345.6), "346");
  EXPECT_EQ(short_number(2639), "2,639");
  EXPECT_EQ(short_number(65536), "65,536");
  EXPECT_EQ(short_number(0.99), "0.99");
  EXPECT_EQ(short_number(-0.0031), "-0.0031");
  EXPECT_EQ(short_number(0.00012), "1.2e-4");
  EXPECT_EQ(short_number(-3e38), "-3e38");
  EXPECT_EQ(short_number(std::nan("")), "-");
}

TEST(PercentText, HasOneDecimalFromOnePercentOn) {
  EXPECT_EQ(percent_text(0), "0%");
  EXPECT_EQ(percent_text(0.3012), "30.1%");
  EXPECT_EQ(percent_text(1), "100%");
  EXPECT_EQ(percent_text(0.5), "50%");
  EXPECT_EQ(percent_text(1.0 / 2048), "0.0488%");
}
