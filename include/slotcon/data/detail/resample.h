// Antialiased resampling in fixed point: what resize() does along each of the two axes.
#pragma once

#include <slotcon/data/detail/row_block.h>
#include <slotcon/data/detail/vector_target.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slotcon::data::detail {

/// The fractional bits of the weights: 8 bits of a sample, 2 for overshoot, 22 of 32 are left.
constexpr int kWeightBits = 32 - 8 - 2;

/// A kernel that weighs samples by their distance, in samples (of the coarser grid).
struct ResampleKernel {
  double support;              ///< the weight is 0 from this distance on
  double (*weight)(double x);  ///< for any x
};

inline double bilinear_weight(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

/// Keys' cubic convolution with a = -0.5.
inline double bicubic_weight(double x) {
  constexpr double kA = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

/// For every output sample of one axis, the run of input samples it is made of and their weights.
struct ResampleWeights {
  struct Run {
    int first;  ///< index of the first input sample
    int count;  ///< number of input samples
  };
  std::vector<Run> runs;              ///< one for each output sample
  std::vector<std::int32_t> weights;  ///< `taps` for each output sample; they sum to about 2^22
  int taps = 0;                       ///< the most samples that a run can have

  const std::int32_t* of(int output) const {
    return weights.data() + static_cast<std::size_t>(output) * static_cast<std::size_t>(taps);
  }
};

inline ResampleWeights resample_weights(int inputs, int outputs, const ResampleKernel& kernel) {
  const double scale = static_cast<double>(inputs) / outputs;
  const double stretch = std::max(scale, 1.0);  // antialiasing: the kernel covers the output sample
  const double support = kernel.support * stretch;
  ResampleWeights result;
  result.taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  result.runs.resize(static_cast<std::size_t>(outputs));
  result.weights.resize(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(result.taps));
  std::vector<double> real(static_cast<std::size_t>(result.taps));
  for (int output = 0; output < outputs; ++output) {
    const double centre = (output + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), inputs);
    const auto count = static_cast<std::size_t>(last - first);
    double sum = 0.0;
    for (std::size_t tap = 0; tap < count; ++tap) {
      real[tap] =
          kernel.weight((static_cast<double>(tap) + first - centre + 0.5) * (1.0 / stretch));
      sum += real[tap];
    }
    const std::size_t row =
        static_cast<std::size_t>(output) * static_cast<std::size_t>(result.taps);
    for (std::size_t tap = 0; tap < count; ++tap) {
      const double scaled = real[tap] * (1.0 / sum) * (1 << kWeightBits);
      result.weights[row + tap] = static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
    result.runs[static_cast<std::size_t>(output)] = {first, last - first};
  }
  return result;
}

SLOTCON_VECTORISED std::uint8_t rounded_sample(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

/// A weighted sum of `run.count` lines of kCount samples that lie `stride` bytes apart.
template <std::size_t kCount>
SLOTCON_VECTORISED void weighted_sum(const std::uint8_t* line, std::size_t stride,
                                     const ResampleWeights::Run& run, const std::int32_t* weights,
                                     std::uint8_t* output) {
  std::int32_t sums[kCount];
  for (std::size_t i = 0; i < kCount; ++i) sums[i] = 1 << (kWeightBits - 1);
  line += static_cast<std::size_t>(run.first) * stride;
  for (int tap = 0; tap < run.count; ++tap, line += stride) {
    const std::int32_t weight = weights[tap];
    for (std::size_t i = 0; i < kCount; ++i) sums[i] += weight * line[i];
  }
  for (std::size_t i = 0; i < kCount; ++i) output[i] = rounded_sample(sums[i]);
}

/// Resamples the columns of `input`, whose rows lie `stride` bytes apart: output row y is a
/// weighted sum of input rows. Rows are `length` bytes long.
struct ResampleRows {
  static constexpr std::size_t kStrip = 48;  // bytes of a row, whose sums stay in registers

  SLOTCON_VECTORISED static void run(const std::uint8_t* input, std::size_t stride,
                                     std::size_t length, const ResampleWeights* plan,
                                     std::uint8_t* output) {
    const int outputs = static_cast<int>(plan->runs.size());
    for (int y = 0; y < outputs; ++y, output += length) {
      const auto& run = plan->runs[static_cast<std::size_t>(y)];
      std::size_t i = 0;
      for (; i + kStrip <= length; i += kStrip) {
        weighted_sum<kStrip>(input + i, stride, run, plan->of(y), output + i);
      }
      for (; i < length; ++i) weighted_sum<1>(input + i, stride, run, plan->of(y), output + i);
    }
  }
};

/// Resamples the rows of an RGB `input`, whose rows lie `stride` bytes apart: each output pixel is
/// a weighted sum of pixels of its row. In a RowBlock that is a weighted sum of contiguous bytes.
struct ResampleColumns {
  SLOTCON_VECTORISED static void run(const std::uint8_t* input, std::size_t stride, int width,
                                     int height, const ResampleWeights* plan,
                                     std::uint8_t* output) {
    const int outputs = static_cast<int>(plan->runs.size());
    const std::size_t output_stride = 3 * plan->runs.size();
    std::vector<std::uint8_t> columns(RowBlock::kLanes * static_cast<std::size_t>(width));
    std::vector<std::uint8_t> resampled(RowBlock::kLanes * plan->runs.size());
    for (int top = 0; top < height; top += RowBlock::kRows) {
      const int rows = std::min(RowBlock::kRows, height - top);
      const auto first = static_cast<std::size_t>(top);
      RowBlock::gather(input + first * stride, stride, width, rows, columns.data());
      for (int x = 0; x < outputs; ++x) {
        weighted_sum<RowBlock::kLanes>(
            columns.data(), RowBlock::kLanes, plan->runs[static_cast<std::size_t>(x)], plan->of(x),
            resampled.data() + static_cast<std::size_t>(x) * RowBlock::kLanes);
      }
      RowBlock::scatter(resampled.data(), outputs, rows, output + first * output_stride,
                        output_stride);
    }
  }
};

}  // namespace slotcon::data::detail
