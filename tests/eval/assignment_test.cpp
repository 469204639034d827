#include <gtest/gtest.h>
#include <slotcon/eval/assignment.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/eval/hashed.h"

namespace {

using slotcon::eval::maximum_assignment;

struct Table {
  std::int64_t rows;
  std::int64_t columns;
  std::vector<double> scores;

  double at(std::int64_t row, std::int64_t column) const {
    return scores[static_cast<std::size_t>(row * columns + column)];
  }
};

Table hashed_table(std::int64_t rows, std::int64_t columns, std::uint32_t modulus, double offset,
                   double scale, std::uint32_t start = 0) {
  Table table{rows, columns, {}};
  for (std::uint32_t i = 0; i < rows * columns; ++i) {
    table.scores.push_back((hashed(start + i) % modulus + offset) * scale);
  }
  return table;
}

/// The total of a matching, after a check that it is one to one and as large as it can be.
double checked_total(const Table& table, const std::vector<std::int64_t>& column_of_row) {
  EXPECT_EQ(column_of_row.size(), static_cast<std::size_t>(table.rows));
  double total = 0.0;
  std::set<std::int64_t> taken;
  for (std::int64_t row = 0; row < table.rows; ++row) {
    const std::int64_t column = column_of_row[static_cast<std::size_t>(row)];
    if (column == -1) continue;
    EXPECT_TRUE(column >= 0 && column < table.columns) << column;
    EXPECT_TRUE(taken.insert(column).second) << "column " << column << " is taken twice";
    total += table.at(row, column);
  }
  EXPECT_EQ(static_cast<std::int64_t>(taken.size()), std::min(table.rows, table.columns));
  return total;
}

double best_total(const Table& table) {
  return checked_total(table, maximum_assignment(table.scores, table.rows, table.columns));
}

/// The largest total over all ways to give the shorter side's members different partners.
double brute_force_total(const Table& table) {
  const bool tall = table.rows > table.columns;
  std::vector<std::int64_t> partners(static_cast<std::size_t>(tall ? table.rows : table.columns));
  std::iota(partners.begin(), partners.end(), std::int64_t{0});
  double best = -std::numeric_limits<double>::infinity();
  do {
    double total = 0.0;
    for (std::int64_t i = 0; i < (tall ? table.columns : table.rows); ++i) {
      const std::int64_t partner = partners[static_cast<std::size_t>(i)];
      total += tall ? table.at(partner, i) : table.at(i, partner);
    }
    best = std::max(best, total);
  } while (std::next_permutation(partners.begin(), partners.end()));
  return best;
}

}  // namespace

TEST(MaximumAssignment, TakesTheLargestTotalAndNotTheLargestScore) {
  // Greed takes 10 and is left with 0.
  EXPECT_EQ(maximum_assignment({10, 9, 9, 0}, 2, 2), (std::vector<std::int64_t>{1, 0}));
}

TEST(MaximumAssignment, LeavesSurplusRowsUnmatched) {
  EXPECT_EQ(maximum_assignment({1, 5, 3}, 3, 1), (std::vector<std::int64_t>{-1, 0, -1}));
  EXPECT_EQ(maximum_assignment({1, 5, 3}, 1, 3), (std::vector<std::int64_t>{1}));
}

TEST(MaximumAssignment, MatchesEvenWhenEveryScoreIsNegative) {
  EXPECT_EQ(maximum_assignment({-1, -5, -2, -9}, 2, 2), (std::vector<std::int64_t>{1, 0}));
}

TEST(MaximumAssignment, OfNothingIsNothing) {
  EXPECT_TRUE(maximum_assignment({}, 0, 0).empty());
  EXPECT_TRUE(maximum_assignment({}, 0, 4).empty());
  EXPECT_EQ(maximum_assignment({}, 3, 0), (std::vector<std::int64_t>{-1, -1, -1}));
}

TEST(MaximumAssignment, ReachesTheTotalsOfScipy) {
  struct Case {
    std::int64_t rows, columns;
    std::uint32_t modulus;
    double offset, scale, total;
  };
  // From generate_assignment.py.
  const Case cases[] = {
      {40, 27, 1009, 0, 1, 26574.0},
      {27, 40, 1009, 0, 1, 26552.0},
      {40, 40, 7, 0, 1, 240.0},
      {40, 27, 1009, -2000, 1, -27426.0},
      {30, 30, 65536, -32768, 1.52587890625e-05, 13.287124633789062},
      {1, 50, 1009, 0, 1, 970.0},
      {50, 1, 1009, 0, 1, 970.0},
      {100, 90, 65536, 0, 1, 5819982.0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.rows) + " x " + std::to_string(c.columns));
    const Table table = hashed_table(c.rows, c.columns, c.modulus, c.offset, c.scale);
    EXPECT_NEAR(best_total(table), c.total, 1e-9 * std::abs(c.total));
  }
}

TEST(MaximumAssignment, EqualsBruteForceOnSmallTables) {
  std::uint32_t start = 0;
  for (std::int64_t rows = 1; rows <= 6; ++rows) {
    for (std::int64_t columns = 1; columns <= 6; ++columns) {
      for (const std::uint32_t modulus : {2u, 4u, 1000u}) {  // few values make many ties
        for (int repeat = 0; repeat < 5; ++repeat, start += 36) {
          const Table table = hashed_table(rows, columns, modulus, -1, 1, start);
          EXPECT_DOUBLE_EQ(best_total(table), brute_force_total(table))
              << rows << " x " << columns << " modulo " << modulus << " from " << start;
        }
      }
    }
  }
}

TEST(MaximumAssignment, SolvesProductsWhereEveryPathIsLong) {
  // By the rearrangement inequality the best total of r * c pairs equals with equals, that of
  // -r * c pairs the largest with the smallest.
  const std::int64_t size = 60;
  Table products{size, size, {}}, opposite{size, size, {}};
  double same_order = 0.0, reverse_order = 0.0;
  for (std::int64_t row = 0; row < size; ++row) {
    for (std::int64_t column = 0; column < size; ++column) {
      products.scores.push_back(static_cast<double>(row * column));
      opposite.scores.push_back(-static_cast<double>(row * column));
    }
    same_order += static_cast<double>(row * row);
    reverse_order -= static_cast<double>(row * (size - 1 - row));
  }
  EXPECT_EQ(best_total(products), same_order);
  EXPECT_EQ(best_total(opposite), reverse_order);
}

TEST(MaximumAssignment, ResolvesTiesTheSameWayEachTime) {
  const std::vector<double> equal(16, 0.5);
  const auto first = maximum_assignment(equal, 4, 4);
  EXPECT_EQ(checked_total({4, 4, equal}, first), 2.0);
  EXPECT_EQ(first, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(MaximumAssignment, SaysWhatIsWrong) {
  const auto text = [](const std::vector<double>& scores, std::int64_t rows, std::int64_t columns) {
    try {
      maximum_assignment(scores, rows, columns);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(text({1, 2, 3}, 2, 2), "maximum_assignment: expected 2 x 2 scores, got 3");
  EXPECT_EQ(text({}, -1, 2),
            "maximum_assignment: expected a non-negative number of rows and columns, got -1 x 2");
  EXPECT_EQ(text({1, 2, 3, std::nan("")}, 2, 2),
            "maximum_assignment: expected finite scores, got nan in row 1, column 1");
  EXPECT_EQ(text({1, -std::numeric_limits<double>::infinity()}, 1, 2),
            "maximum_assignment: expected finite scores, got -inf in row 0, column 1");
}
