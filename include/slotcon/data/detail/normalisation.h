// From 8-bit samples to the numbers that networks see.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slotcon::data::detail {

/// (sample / 255 - mean) / deviation of red, green and blue, with the statistics of ImageNet.
inline const std::array<std::array<float, 256>, 3>& normalised_samples() {
  static const auto tables = [] {
    constexpr std::array<float, 3> kMean = {0.485f, 0.456f, 0.406f};
    constexpr std::array<float, 3> kDeviation = {0.229f, 0.224f, 0.225f};
    std::array<std::array<float, 256>, 3> result{};
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t sample = 0; sample < 256; ++sample) {
        result[c][sample] = (static_cast<float>(sample) / 255.0f - kMean[c]) / kDeviation[c];
      }
    }
    return result;
  }();
  return tables;
}

/// Writes one float for each sample, in the order of the samples (HWC).
inline void normalise(const std::vector<std::uint8_t>& pixels, float* output) {
  const auto& [red, green, blue] = normalised_samples();
  for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
    output[i] = red[pixels[i]];
    output[i + 1] = green[pixels[i + 1]];
    output[i + 2] = blue[pixels[i + 2]];
  }
}

}  // namespace slotcon::data::detail
