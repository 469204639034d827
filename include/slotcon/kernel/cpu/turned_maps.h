// Maps [K,N] turned to rows of channels, and back.
//
// Maps come with their N positions side by side, but what is computed at a position mixes whole
// columns of them: a few taps, and sums over all K channels. So each image is turned to [N,K] in
// scratch memory, where every loop runs along K, and what comes out is turned back.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/pack.h>
#include <slotcon/kernel/cpu/sample_row.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/transpose.h>

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

/// Turns the maps [K,N] of an image to rows [N,stride] and back, shared between the threads; the
/// result does not depend on their number.
class MapTurner {
 public:
  MapTurner(Index channels, Index positions)
      : channels_(channels), positions_(positions), stride_(round_up(channels, kRowPadding)) {}

  Index stride() const { return stride_; }                // >= K; the rest of a row is padding
  Index size() const { return positions_ * stride_; }     // floats of all rows
  Index image() const { return positions_ * channels_; }  // floats of an image

  /// rows [N,stride] = the maps [K,N]; the padding is left as it is.
  void turn(const float* maps, float* rows) const {
    at::parallel_for(0, channels_, kRowPadding, [&](Index begin, Index end) {
      transpose_(maps + begin * positions_, positions_, end - begin, positions_, rows + begin,
                 stride_);
    });
  }

  /// The sample of `rows` that one row of `taps` describes.
  void sample(const float* rows, const Taps& taps, Index position, float* result) const {
    sample_(rows, stride_, taps.begin(position), taps.end(position), result);
  }

  /// maps [K,N] = the samples of `rows` that `taps` describes, one for each position.
  void sample_back(const float* rows, const Taps& taps, float* maps) const {
    at::parallel_for(0, positions_, kTile, [&](Index begin, Index end) {
      Scratch scratch;
      float* const tile = scratch.take(kTile * stride_);
      const Index tiles = at::divup(end - begin, kTile);
      for (Index i = 0; i < tiles; ++i) {
        const Index first = begin + (end - begin) * i / tiles;
        const Index count = begin + (end - begin) * (i + 1) / tiles - first;
        for (Index n = 0; n < count; ++n) sample(rows, taps, first + n, tile + n * stride_);
        transpose_(tile, stride_, count, channels_, maps + first, positions_);
      }
    });
  }

 private:
  static constexpr Index kTile = 32;  // positions at most that are turned back together

  const decltype(&portable::transpose_matrix) transpose_ = SLOTCON_SIMD_SELECT(transpose_matrix);
  const decltype(&portable::sample_row) sample_ = SLOTCON_SIMD_SELECT(sample_row);
  const Index channels_, positions_, stride_;
};

}  // namespace slotcon::kernel::cpu
