// Bilinear sampling of a box on the device: which pixels a sample mixes, and which samples a pixel
// is part of.
#pragma once

#include <slotcon/kernel/aligned_assignment/cuda_launches.h>

#include <slotcon/kernel/cuda/rows.cuh>

namespace slotcon::kernel::aligned_assignment {
inline namespace SLOTCON_VERSIONED {

using cuda::inside;
using cuda::kBlockThreads;
using cuda::kBlockWarps;
using cuda::kWarp;
using cuda::lane_index;
using cuda::warp_index;

/// One axis of a region, by the rule of `inverse_augmentation::axis_weights`. Each operation is
/// rounded by itself, as there: a bin that is larger than 1 by a rounding takes two samples.
class Axis {
 public:
  __device__ Axis(float first, float last, Index size, bool mirrored)
      : size_(size), mirrored_(mirrored) {
    const auto length = static_cast<float>(size);
    start_ = __fsub_rn(__fmul_rn(first, length), 0.5f);
    const float extent = __fsub_rn(__fsub_rn(__fmul_rn(last, length), 0.5f), start_);
    bin_ = __fdiv_rn(extent, length);
    there_ = extent > 0;
  }

  __device__ Index size() const { return size_; }

  /// The weight of a pixel in a sample.
  __device__ float weight(Index sample, Index pixel) const {
    if (!there_) return 0;
    const auto bin = static_cast<float>(mirrored_ ? size_ - 1 - sample : sample);
    const float start = __fadd_rn(start_, __fmul_rn(bin, bin_));
    const auto at = [&](float fraction) {
      return weight_at(__fadd_rn(start, __fmul_rn(fraction, bin_)), static_cast<float>(pixel));
    };
    return bin_ > 1 ? 0.5f * (at(0.25f) + at(0.75f)) : at(0.5f);
  }

 private:
  /// Half a pixel beyond the map the border's value holds; further out than one pixel it is 0.
  __device__ float weight_at(float position, float pixel) const {
    const auto length = static_cast<float>(size_);
    if (!(position >= -1 && position <= length)) return 0;
    const float clamped = fminf(fmaxf(position, 0.0f), length - 1);
    return fmaxf(1 - fabsf(clamped - pixel), 0.0f);
  }

  Index size_;
  bool mirrored_, there_;
  float start_, bin_;
};

/// Both axes of an image's region.
struct Axes {
  Axis rows, columns;
};

__device__ inline Axes axes_of(const Regions& regions, const Shape& shape, Index image) {
  const float* box = regions.boxes + 4 * image;
  return {Axis(box[1], box[3], shape.height, false),
          Axis(box[0], box[2], shape.width, regions.flipped[image])};
}

struct Tap {
  int index;
  float weight;
};

/// A sample mixes two pixels of an axis, or two samples do.
constexpr Index kMostTaps = 4;

/// The rows and columns that count, in shared memory; every pair of them does.
struct Taps {
  const Tap *rows, *columns;
  int row_count, column_count;
};

/// Writes the taps with a weight, in ascending order; returns their number. By a warp.
template <class Weight>
__device__ __forceinline__ int collect(Index size, const Weight& weight_of, Tap* taps) {
  int count = 0;
  for (Index first = 0; first < size; first += kWarp) {
    const Index candidate = first + lane_index();
    const float weight = inside(candidate, size) ? weight_of(candidate) : 0.0f;
    const unsigned votes = __ballot_sync(cuda::kAllLanes, weight > 0);
    const unsigned before = votes & ((1u << lane_index()) - 1);
    if (weight > 0) taps[count + __popc(before)] = {static_cast<int>(candidate), weight};
    count += __popc(votes);
  }
  return count;
}

/// The pixels of the sample `position`; `memory` has kMostTaps for each axis. By a warp.
__device__ inline Taps pixels_of(const Axes& axes, Index position, Tap* memory) {
  const Index row = position / axes.columns.size(), column = position % axes.columns.size();
  Tap* const columns = memory + kMostTaps;
  const int row_count = collect(
      axes.rows.size(), [&](Index pixel) { return axes.rows.weight(row, pixel); }, memory);
  const int column_count = collect(
      axes.columns.size(), [&](Index pixel) { return axes.columns.weight(column, pixel); },
      columns);
  __syncwarp();
  return {memory, columns, row_count, column_count};
}

/// The samples of the pixel `position`; `memory` has H + W. By a warp.
__device__ inline Taps samples_of(const Axes& axes, Index position, Tap* memory) {
  const Index row = position / axes.columns.size(), column = position % axes.columns.size();
  Tap* const columns = memory + axes.rows.size();
  const int row_count = collect(
      axes.rows.size(), [&](Index sample) { return axes.rows.weight(sample, row); }, memory);
  const int column_count = collect(
      axes.columns.size(), [&](Index sample) { return axes.columns.weight(sample, column); },
      columns);
  __syncwarp();
  return {memory, columns, row_count, column_count};
}

/// The weighted sum over the taps of kWidth neighbours from `k` on of maps [N,K].
template <int kWidth>
__device__ __forceinline__ cuda::Vector<float, kWidth> mix(const float* maps, const Shape& shape,
                                                           const Taps& taps, Index k) {
  cuda::Vector<float, kWidth> sum{};
  for (int i = 0; i < taps.row_count; ++i) {
    const Tap row = taps.rows[i];
    const float* from = maps + row.index * shape.width * shape.prototypes + k;
    for (int j = 0; j < taps.column_count; ++j) {
      const Tap column = taps.columns[j];
      const float weight = row.weight * column.weight;
      const auto values = cuda::load<kWidth>(from + column.index * shape.prototypes);
#pragma unroll
      for (int v = 0; v < kWidth; ++v) sum.values[v] += weight * values.values[v];
    }
  }
  return sum;
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::aligned_assignment
