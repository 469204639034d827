// The assignment problem: which column each row takes so that the total score is as large as
// possible.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace slotcon::eval {
namespace detail {

/// Minimum-cost matching of every row, for rows <= columns, by shortest augmenting paths.
///
/// Each row and column has a price such that cost - row price - column price is >= 0 everywhere and
/// 0 on matched pairs; a path found by Dijkstra's method over these reduced costs is then optimal.
class MinimumCostMatching {
 public:
  MinimumCostMatching(std::vector<double> costs, std::size_t rows, std::size_t columns)
      : costs_(std::move(costs)),
        columns_(columns),
        row_prices_(rows, 0.0),
        column_prices_(columns, 0.0),
        column_of_row_(rows, kNone),
        row_of_column_(columns, kNone) {
    for (std::size_t row = 0; row < rows; ++row) add_row(row);
  }

  const std::vector<std::size_t>& column_of_row() const { return column_of_row_; }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Search {
    std::vector<double> distance;      // of each column from the new row
    std::vector<std::size_t> via_row;  // the row before that column on the shortest path
    std::vector<std::size_t> settled;  // columns, in the order in which their distance became final
    std::vector<bool> is_settled;
  };

  void add_row(std::size_t new_row) {
    const Search search = shortest_path_to_a_free_column(new_row);
    update_prices(new_row, search);
    flip_path(new_row, search);
  }

  Search shortest_path_to_a_free_column(std::size_t new_row) const {
    Search search{std::vector<double>(columns_, std::numeric_limits<double>::infinity()),
                  std::vector<std::size_t>(columns_, kNone),
                  {},
                  std::vector<bool>(columns_, false)};
    double travelled = 0.0;
    for (std::size_t row = new_row; row != kNone; row = row_of_column_[search.settled.back()]) {
      relax_columns(row, travelled, search);
      const std::size_t column = nearest_open_column(search);
      travelled = search.distance[column];
      search.is_settled[column] = true;
      search.settled.push_back(column);
    }
    return search;
  }

  void relax_columns(std::size_t row, double travelled, Search& search) const {
    for (std::size_t column = 0; column < columns_; ++column) {
      if (search.is_settled[column]) continue;
      const double reduced_cost =
          costs_[row * columns_ + column] - row_prices_[row] - column_prices_[column];
      const double distance = travelled + reduced_cost;
      if (distance < search.distance[column]) {
        search.distance[column] = distance;
        search.via_row[column] = row;
      }
    }
  }

  std::size_t nearest_open_column(const Search& search) const {
    std::size_t nearest = kNone;
    for (std::size_t column = 0; column < columns_; ++column) {
      if (search.is_settled[column]) continue;
      if (nearest == kNone || search.distance[column] < search.distance[nearest]) nearest = column;
    }
    return nearest;
  }

  void update_prices(std::size_t new_row, const Search& search) {
    const double path_length = search.distance[search.settled.back()];
    row_prices_[new_row] += path_length;
    for (const std::size_t column : search.settled) {
      const double change = path_length - search.distance[column];
      column_prices_[column] -= change;
      if (row_of_column_[column] != kNone) row_prices_[row_of_column_[column]] += change;
    }
  }

  void flip_path(std::size_t new_row, const Search& search) {
    std::size_t column = search.settled.back();
    std::size_t row = kNone;
    while (row != new_row) {
      row = search.via_row[column];
      row_of_column_[column] = row;
      std::swap(column, column_of_row_[row]);
    }
  }

  std::vector<double> costs_;
  std::size_t columns_;
  std::vector<double> row_prices_;
  std::vector<double> column_prices_;
  std::vector<std::size_t> column_of_row_;
  std::vector<std::size_t> row_of_column_;
};

inline void check_scores(const std::vector<double>& scores, std::int64_t rows,
                         std::int64_t columns) {
  std::ostringstream message;
  message << "maximum_assignment: ";
  if (rows < 0 || columns < 0) {
    message << "expected a non-negative number of rows and columns, got " << rows << " x "
            << columns;
    throw std::invalid_argument(message.str());
  }
  if (scores.size() != static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)) {
    message << "expected " << rows << " x " << columns << " scores, got " << scores.size();
    throw std::invalid_argument(message.str());
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    const auto width = static_cast<std::size_t>(columns);
    message << "expected finite scores, got " << scores[i] << " in row " << i / width << ", column "
            << i % width;
    throw std::invalid_argument(message.str());
  }
}

}  // namespace detail

/// The column of each row in a one-to-one matching with the largest total score.
///
///     maximise  sum over rows r of scores[r * columns + column_of_row[r]]
///
/// `scores` is row-major, rows x columns; any finite values, negative ones too. min(rows, columns)
/// pairs are made whatever their sign; the rows left over when rows > columns get -1. With no rows
/// or no columns nothing is matched. Among matchings with equal totals the choice is fixed by the
/// scores and their order. O(min^2 * max) steps.
/// Throws std::invalid_argument for a wrong number of scores and for a score that is not finite.
/// Source: shortest augmenting paths; Kuhn 1955, Tomizawa 1971, Jonker and Volgenant 1987.
inline std::vector<std::int64_t> maximum_assignment(const std::vector<double>& scores,
                                                    std::int64_t rows, std::int64_t columns) {
  detail::check_scores(scores, rows, columns);
  const bool transpose = rows > columns;
  const auto height = static_cast<std::size_t>(transpose ? columns : rows);
  const auto width = static_cast<std::size_t>(transpose ? rows : columns);
  std::vector<double> costs(scores.size());
  for (std::size_t i = 0; i < height; ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      costs[i * width + j] = -scores[transpose ? j * height + i : i * width + j];
    }
  }
  const detail::MinimumCostMatching matching(std::move(costs), height, width);
  std::vector<std::int64_t> column_of_row(static_cast<std::size_t>(rows), -1);
  for (std::size_t i = 0; i < height; ++i) {
    const std::size_t j = matching.column_of_row()[i];
    column_of_row[transpose ? j : i] = static_cast<std::int64_t>(transpose ? i : j);
  }
  return column_of_row;
}

}  // namespace slotcon::eval
