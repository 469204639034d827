// A few rows of an RGB image stored column by column, so that work along rows runs over contiguous
// bytes.
#pragma once

#include <slotcon/data/detail/vector_target.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data::detail {

struct RowBlock {
  static constexpr int kRows = 16;
  /// The bytes of a column: the red values of the rows, then the green, then the blue ones.
  static constexpr std::size_t kLanes = 3 * kRows;

  /// Stores `rows` <= kRows rows, which lie `stride` bytes apart, as `width` columns.
  SLOTCON_VECTORISED static void gather(const std::uint8_t* image, std::size_t stride, int width,
                                        int rows, std::uint8_t* columns) {
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* pixel = image + static_cast<std::size_t>(row) * stride;
      std::uint8_t* lane = columns + row;
      for (int x = 0; x < width; ++x, pixel += 3, lane += kLanes) {
        lane[0] = pixel[0];
        lane[kRows] = pixel[1];
        lane[2 * kRows] = pixel[2];
      }
    }
  }

  /// The reverse of gather().
  SLOTCON_VECTORISED static void scatter(const std::uint8_t* columns, int width, int rows,
                                         std::uint8_t* image, std::size_t stride) {
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* lane = columns + row;
      std::uint8_t* pixel = image + static_cast<std::size_t>(row) * stride;
      for (int x = 0; x < width; ++x, pixel += 3, lane += kLanes) {
        pixel[0] = lane[0];
        pixel[1] = lane[kRows];
        pixel[2] = lane[2 * kRows];
      }
    }
  }
};

}  // namespace slotcon::data::detail
