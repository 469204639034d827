// Two augmented views of a batch of images: what a data loader makes and the training objective
// takes.
#pragma once

#include <torch/types.h>

#include <array>

namespace slotcon {

/// Where the region that both views show lies in one view, for a batch of B images.
struct ViewGeometry {
  /// [B,4] float32: x1, y1, x2, y2 of the shared region as fractions of the view, measured in the
  /// view as the network sees it (after its flip). x2 <= x1 or y2 <= y1 means that the views share
  /// nothing.
  torch::Tensor boxes;
  /// [B] bool: the view was mirrored left to right.
  torch::Tensor flipped;
};

/// A batch of B images, each seen twice.
struct TwoViews {
  std::array<torch::Tensor, 2> images;   ///< [B,3,S,S] float32, normalised
  std::array<ViewGeometry, 2> geometry;  ///< one entry a view
};

}  // namespace slotcon
