// The encoders that `--arch` names.
#pragma once

#include <slotcon/model/resnet.h>

#include "support/options.h"

namespace examples {

inline slotcon::ResNetOptions encoder_options(const ModelOptions& options) {
  const auto named = [&] {
    if (options.arch == "resnet18") return slotcon::resnet18();
    if (options.arch == "resnet34") return slotcon::resnet34();
    if (options.arch == "resnet50") return slotcon::resnet50();
    if (options.arch == "resnet101") return slotcon::resnet101();
    return slotcon::resnet_tiny();
  };
  return named().zero_init_residual(options.zero_init_residual);
}

}  // namespace examples
