// Bilinear resampling of a box as a sparse matrix from pixels to samples: at most a few taps each.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace slotcon::kernel::cpu {

/// One weighted pixel of a sample, or one weighted sample of a pixel.
struct Tap {
  std::int32_t index;
  float weight;
};

/// A sparse matrix by rows: row i is taps[start[i]] up to taps[start[i + 1]].
struct Taps {
  std::vector<std::int32_t> start;
  std::vector<Tap> taps;

  const Tap* begin(std::int64_t row) const { return taps.data() + start[at(row)]; }
  const Tap* end(std::int64_t row) const { return taps.data() + start[at(row + 1)]; }

 private:
  static std::size_t at(std::int64_t row) { return static_cast<std::size_t>(row); }
};

/// What is cut out of a map: x1, y1, x2, y2 as fractions of it, mirrored left to right or not.
struct Box {
  double x1, y1, x2, y2;
  bool flipped;
};

namespace detail {

/// Where one output pixel samples one axis: two samples of two pixels at most.
struct AxisTaps {
  std::array<std::pair<std::int64_t, double>, 4> taps;
  std::size_t count = 0;

  /// Half a pixel beyond the map the border's value holds; further out than one pixel it is 0.
  void sample(double position, std::int64_t size, double share) {
    const auto last = static_cast<double>(size - 1);
    if (!(position >= -1 && position <= last + 1)) return;
    position = std::clamp(position, 0.0, last);
    const auto low = static_cast<std::int64_t>(position);
    const double beyond = position - static_cast<double>(low);
    taps[count++] = {low, share * (1 - beyond)};
    if (beyond > 0) taps[count++] = {low + 1, share * beyond};
  }
};

/// The taps of each output pixel of an axis, the rule of `inverse_augmentation::axis_weights`.
inline std::vector<AxisTaps> axis_taps(double first, double last, std::int64_t size) {
  std::vector<AxisTaps> axis(static_cast<std::size_t>(size));
  const auto length = static_cast<double>(size);
  const double start = first * length - 0.5;
  const double extent = (last * length - 0.5) - start;
  if (!(extent > 0)) return axis;
  const double bin = extent / length;
  for (std::size_t i = 0; i < axis.size(); ++i) {
    const double bin_start = start + static_cast<double>(i) * bin;
    if (bin > 1) {
      axis[i].sample(bin_start + 0.25 * bin, size, 0.5);
      axis[i].sample(bin_start + 0.75 * bin, size, 0.5);
    } else {
      axis[i].sample(bin_start + 0.5 * bin, size, 1);
    }
  }
  return axis;
}

}  // namespace detail

/// The taps of every position y width + x of the box resampled to the map's own size, as
/// `inverse_augmentation::reference` weighs them.
inline Taps sampling_taps(const Box& box, std::int64_t height, std::int64_t width) {
  const auto rows = detail::axis_taps(box.y1, box.y2, height);
  auto columns = detail::axis_taps(box.x1, box.x2, width);
  if (box.flipped) std::reverse(columns.begin(), columns.end());
  Taps result;
  result.start.reserve(static_cast<std::size_t>(height * width + 1));
  result.start.push_back(0);
  for (const auto& row : rows) {
    for (const auto& column : columns) {
      for (std::size_t i = 0; i < row.count; ++i) {
        for (std::size_t j = 0; j < column.count; ++j) {
          const auto& [y, down] = row.taps[i];
          const auto& [x, across] = column.taps[j];
          result.taps.push_back(
              {static_cast<std::int32_t>(y * width + x), static_cast<float>(down * across)});
        }
      }
      result.start.push_back(static_cast<std::int32_t>(result.taps.size()));
    }
  }
  return result;
}

/// The same matrix by columns, of which there are as many as rows: for each pixel the samples that
/// it is part of, in ascending order.
inline Taps transposed(const Taps& taps) {
  const std::size_t rows = taps.start.size() - 1;
  Taps result;
  result.start.assign(rows + 1, 0);
  result.taps.resize(taps.taps.size());
  for (const auto& tap : taps.taps) ++result.start[static_cast<std::size_t>(tap.index) + 1];
  for (std::size_t i = 0; i < rows; ++i) result.start[i + 1] += result.start[i];
  auto next = result.start;
  for (std::size_t row = 0; row < rows; ++row) {
    for (auto i = taps.start[row]; i < taps.start[row + 1]; ++i) {
      const Tap& tap = taps.taps[static_cast<std::size_t>(i)];
      auto& place = next[static_cast<std::size_t>(tap.index)];
      result.taps[static_cast<std::size_t>(place++)] = {static_cast<std::int32_t>(row), tap.weight};
    }
  }
  return result;
}

}  // namespace slotcon::kernel::cpu
