// Where views show the region that they share, for tests.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "tests/support/noise.h"

namespace slotcon::testing {

/// Boxes [count,4] within the view, of any width and height.
inline torch::Tensor random_boxes(std::int64_t count, std::uint64_t seed) {
  const auto corners = at::sigmoid(noise({count, 2, 2}, seed));  // [B, corner, axis]
  return at::cat({at::amin(corners, 1), at::amax(corners, 1)}, 1).to(torch::kFloat);
}

/// One box [1,4].
inline torch::Tensor box(double x1, double y1, double x2, double y2) {
  return torch::tensor({{x1, y1, x2, y2}}, torch::kFloat);
}

/// Boxes [1,4] with what is hard about boxes: none, reversed, beyond the view, beyond any sample,
/// over the view by rounding.
inline std::vector<torch::Tensor> unusual_boxes() {
  return {box(0, 0, 1, 1),
          box(0.25, 0, 1, 0.5),
          box(0, 0, 0, 1),
          box(0.5, 0.5, 0.4, 0.6),
          box(-0.2, 0.1, 0.4, 1.3),
          box(0.9, 1.3, 1.6, 2.1),
          box(0, 0, 1.0000001f, 1.1),
          box(-3, -3, 4, 4),
          box(5, 5, 6, 6)};
}

inline torch::Tensor flags(const std::vector<std::uint8_t>& values) {
  return torch::tensor(values).to(torch::kBool);
}

}  // namespace slotcon::testing
