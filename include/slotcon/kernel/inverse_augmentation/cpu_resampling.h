// Maps resampled image by image on the CPU, by the sparse matrix of their boxes.
#pragma once

#include <slotcon/kernel/cpu/sampling.h>
#include <slotcon/kernel/cpu/turned_maps.h>
#include <slotcon/kernel/inverse_augmentation/cpu.h>
#include <torch/types.h>

namespace slotcon::kernel::inverse_augmentation {

/// The taps of one image of maps [*,*,H,W]; boxes [B,4] float32 and flips [B], both contiguous.
inline cpu::Taps taps_of_image(const torch::Tensor& boxes, const torch::Tensor& flipped,
                               cpu::Index image, cpu::Index height, cpu::Index width) {
  const float* box = boxes.const_data_ptr<float>() + 4 * image;
  return cpu::sampling_taps({box[0], box[1], box[2], box[3], flipped.const_data_ptr<bool>()[image]},
                            height, width);
}

SLOTCON_CPU_KERNEL torch::Tensor cpu_resample(const torch::Tensor& maps, const torch::Tensor& boxes,
                                              const torch::Tensor& flipped, bool transposed) {
  const cpu::MapBatch from(maps), to = from.like();
  const auto height = maps.size(2), width = maps.size(3);
  const cpu::MapTurner turner(from.channels(), from.positions());
  cpu::over_images(maps.size(0), [&](cpu::Index begin, cpu::Index end) {
    cpu::Scratch scratch;
    float* const rows = scratch.take(turner.size());
    for (cpu::Index image = begin; image < end; ++image) {
      const auto taps = taps_of_image(boxes, flipped, image, height, width);
      turner.sample_back(turner.turn(from.image(image), rows),
                         transposed ? cpu::transposed(taps) : taps, to.image(image));
    }
  });
  return to.view(maps.sizes());
}

}  // namespace slotcon::kernel::inverse_augmentation
