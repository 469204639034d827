// A few rows of an RGB image stored column by column, so that work along rows runs over contiguous
// bytes.
#pragma once

#include <slotcon/data/detail/byte_transpose.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

struct RowBlock {
  static constexpr int kRows = 32;
  /// The bytes of a column: the red values of the rows, then the green, then the blue ones.
  static constexpr std::size_t kLanes = 3 * kRows;

  /// Stores `rows` <= kRows rows, which lie `stride` bytes apart, as `width` columns.
  static void gather(const std::uint8_t* image, std::size_t stride, int width, int rows,
                     std::uint8_t* columns) {
    transpose(image, stride, static_cast<std::size_t>(rows), 3 * static_cast<std::size_t>(width),
              columns, kRows);
  }

  /// The reverse of gather().
  static void scatter(const std::uint8_t* columns, int width, int rows, std::uint8_t* image,
                      std::size_t stride) {
    transpose(columns, kRows, 3 * static_cast<std::size_t>(width), static_cast<std::size_t>(rows),
              image, stride);
  }
};

}  // namespace slotcon::data::detail
