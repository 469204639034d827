// Maps as rows of channels, and back.
//
// What is computed at a position of maps [K,N] mixes whole columns of them: a few taps, and sums
// over all K channels. So every loop runs along K, over rows [N,K]. Maps that lie in memory that
// way, as the grouping's scores do, are used as they are; others are turned, an image at a time.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/pack.h>
#include <slotcon/kernel/cpu/sample_row.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/transpose.h>
#include <torch/types.h>

#include <cstring>

namespace slotcon::kernel::cpu {

/// Calls body(begin, end) for ranges of the images: at the same time where every thread gets one.
/// Otherwise the threads are left for the stages of an image.
template <class Body>
void over_images(Index images, const Body& body) {
  if (images >= at::get_num_threads()) {
    at::parallel_for(0, images, 1, body);
  } else {
    body(0, images);
  }
}

/// The maps of an image of a batch.
struct Maps {
  float* data;
  bool by_position;  // [N,K] in memory; otherwise [K,N]
};

/// A batch of float32 maps [B,K,*spatial] in one of the two orders, to read or to write.
class MapBatch {
 public:
  /// Maps in any other order are copied.
  explicit MapBatch(const torch::Tensor& maps)
      : images_(maps.dim() == 2 ? maps.unsqueeze(2) : maps.flatten(2)),
        by_position_(images_.transpose(1, 2).is_contiguous()) {
    if (!by_position_) images_ = images_.contiguous();
  }

  /// New maps of the same sizes and in the same order.
  MapBatch like() const { return MapBatch(at::empty_like(images_)); }

  Maps image(Index b) const {
    return {images_.data_ptr<float>() + b * images_.stride(0), by_position_};
  }
  Index channels() const { return images_.size(1); }
  Index positions() const { return images_.size(2); }

  /// As a tensor of these sizes, [B,K,*spatial].
  torch::Tensor view(at::IntArrayRef sizes) const { return images_.view(sizes); }

 private:
  torch::Tensor images_;  // [B,K,N]
  bool by_position_;
};

/// Turns the maps of an image to rows [N,stride] and back, shared between the threads; the result
/// does not depend on their number.
class MapTurner {
 public:
  MapTurner(Index channels, Index positions)
      : channels_(channels), positions_(positions), stride_(round_up(channels, kRowPadding)) {}

  Index stride() const { return stride_; }             // >= K; the rest of a row is padding
  Index size() const { return positions_ * stride_; }  // floats of all rows

  /// The rows of all positions: the maps themselves, or in `rows`, whose padding is left as it is.
  const float* turn(const Maps& maps, float* rows) const {
    if (maps.by_position) {
      if (channels_ == stride_) return maps.data;
      turn_positions(maps, 0, positions_, rows);
      return rows;
    }
    at::parallel_for(0, channels_, kRowPadding, [&](Index begin, Index end) {
      transpose_(maps.data + begin * positions_, positions_, end - begin, positions_, rows + begin,
                 stride_);
    });
    return rows;
  }

  /// rows [count,stride] = those of the positions from `first` on.
  void turn_positions(const Maps& maps, Index first, Index count, float* rows) const {
    if (maps.by_position) {
      for (Index n = 0; n < count; ++n) {
        std::memcpy(rows + n * stride_, maps.data + (first + n) * channels_, bytes_of_row());
      }
    } else {
      transpose_(maps.data + first, positions_, channels_, count, rows, stride_);
    }
  }

  /// The reverse of turn_positions().
  void turn_back(const float* rows, Index first, Index count, const Maps& maps) const {
    if (maps.by_position) {
      for (Index n = 0; n < count; ++n) {
        std::memcpy(maps.data + (first + n) * channels_, rows + n * stride_, bytes_of_row());
      }
    } else {
      transpose_(rows, stride_, count, channels_, maps.data + first, positions_);
    }
  }

  /// The sample of `rows` that one row of `taps` describes.
  void sample(const float* rows, const Taps& taps, Index position, float* result) const {
    sample_(rows, stride_, taps.begin(position), taps.end(position), result);
  }

  /// maps = the samples of `rows` that `taps` describes, one for each position.
  void sample_back(const float* rows, const Taps& taps, const Maps& maps) const {
    at::parallel_for(0, positions_, kTile, [&](Index begin, Index end) {
      Scratch scratch;
      float* const tile = scratch.take(kTile * stride_);
      const Index tiles = at::divup(end - begin, kTile);
      for (Index i = 0; i < tiles; ++i) {
        const Index first = begin + (end - begin) * i / tiles;
        const Index count = begin + (end - begin) * (i + 1) / tiles - first;
        for (Index n = 0; n < count; ++n) sample(rows, taps, first + n, tile + n * stride_);
        turn_back(tile, first, count, maps);
      }
    });
  }

 private:
  static constexpr Index kTile = 32;  // positions at most that are turned back together

  std::size_t bytes_of_row() const { return static_cast<std::size_t>(channels_) * sizeof(float); }

  const decltype(&portable::transpose_matrix) transpose_ = SLOTCON_SIMD_SELECT(transpose_matrix);
  const decltype(&portable::sample_row) sample_ = SLOTCON_SIMD_SELECT(sample_row);
  const Index channels_, positions_, stride_;
};

}  // namespace slotcon::kernel::cpu
