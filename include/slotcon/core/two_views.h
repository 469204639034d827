// Two augmented views of a batch of images: what a data loader makes and the training objective
// takes.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

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

/// Images `begin` ... `end` - 1 of a batch; the tensors share the batch's memory.
inline TwoViews slice(const TwoViews& views, std::int64_t begin, std::int64_t end) {
  TwoViews part;
  for (std::size_t v = 0; v < 2; ++v) {
    part.images[v] = views.images[v].slice(0, begin, end);
    part.geometry[v] = {views.geometry[v].boxes.slice(0, begin, end),
                        views.geometry[v].flipped.slice(0, begin, end)};
  }
  return part;
}

}  // namespace slotcon
