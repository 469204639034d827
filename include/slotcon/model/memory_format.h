// Channels-last weights, the layout in which convolutions are fastest on CPU.
#pragma once

#include <torch/nn/module.h>

namespace slotcon {

/// Puts every four-dimensional parameter (convolution weights) into channels-last memory, in place;
/// values and names stay. Convolutions then give channels-last maps for channels-last images.
inline void to_channels_last(torch::nn::Module& module) {
  for (auto& parameter : module.parameters()) {
    if (parameter.dim() == 4) {
      parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
}

}  // namespace slotcon
