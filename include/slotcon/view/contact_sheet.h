// Many images in one: rows of cells on a background.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/view/color_map.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::view {

/// The look of a contact sheet.
struct ContactSheetOptions {
  int gap = 4;                ///< >= 0: pixels between cells and around the sheet
  Color background = kWhite;  ///< of gaps, missing cells and the rest of a cell around its image
  int magnification = 1;      ///< >= 1: each pixel of an image becomes a square of this side
};

namespace detail {

inline void check_sheet(const std::vector<std::vector<data::Image>>& rows,
                        const ContactSheetOptions& options) {
  if (options.gap < 0) {
    throw std::invalid_argument("contact_sheet: expected gap >= 0, got " +
                                std::to_string(options.gap));
  }
  if (options.magnification < 1) {
    throw std::invalid_argument("contact_sheet: expected magnification >= 1, got " +
                                std::to_string(options.magnification));
  }
  const auto has_pixels = [](const data::Image& image) { return !image.pixels.empty(); };
  for (const auto& row : rows) {
    if (std::any_of(row.begin(), row.end(), has_pixels)) return;
  }
  throw std::invalid_argument("contact_sheet: expected at least one image with pixels, got none");
}

/// Where the cells of a sheet lie along one axis.
class CellAxis {
 public:
  CellAxis(std::vector<int> cell_sizes, int gap) : sizes_(std::move(cell_sizes)), length_(gap) {
    for (const int size : sizes_) {
      starts_.push_back(length_);
      length_ += size + gap;
    }
  }

  int length() const { return length_; }
  int centred_start(std::size_t cell, int size) const {
    return starts_[cell] + (sizes_[cell] - size) / 2;
  }

 private:
  std::vector<int> sizes_;
  std::vector<int> starts_;
  int length_;
};

inline void fill(data::Image& image, const Color& color) {
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = color[i % color.size()];
}

inline void paste_magnified(const data::Image& image, int magnification, int top, int left,
                            data::Image& sheet) {
  for (int y = 0; y < image.height * magnification; ++y) {
    for (int x = 0; x < image.width * magnification; ++x) {
      const auto* const pixel = image.at(y / magnification, x / magnification);
      std::copy_n(pixel, 3, sheet.at(top + y, left + x));
    }
  }
}

}  // namespace detail

/// Draws rows of images as a grid, the first row on top.
///
/// A column is as wide as its widest image and a row as high as its highest; smaller images stand
/// in the middle of their cell (an odd pixel goes right and below). Rows may differ in length, and
/// an image without pixels leaves its cell empty.
/// Throws std::invalid_argument for a negative gap, a magnification below 1, and a sheet without
/// pixels.
inline data::Image contact_sheet(const std::vector<std::vector<data::Image>>& rows,
                                 const ContactSheetOptions& options = {}) {
  detail::check_sheet(rows, options);
  std::vector<int> heights(rows.size(), 0);
  std::vector<int> widths;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    widths.resize(std::max(widths.size(), rows[row].size()), 0);
    for (std::size_t column = 0; column < rows[row].size(); ++column) {
      const data::Image& image = rows[row][column];
      heights[row] = std::max(heights[row], image.height * options.magnification);
      widths[column] = std::max(widths[column], image.width * options.magnification);
    }
  }
  const detail::CellAxis vertical(std::move(heights), options.gap);
  const detail::CellAxis horizontal(std::move(widths), options.gap);
  data::Image sheet(vertical.length(), horizontal.length());
  detail::fill(sheet, options.background);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t column = 0; column < rows[row].size(); ++column) {
      const data::Image& image = rows[row][column];
      const int top = vertical.centred_start(row, image.height * options.magnification);
      const int left = horizontal.centred_start(column, image.width * options.magnification);
      detail::paste_magnified(image, options.magnification, top, left, sheet);
    }
  }
  return sheet;
}

}  // namespace slotcon::view
