// Features whose classes overlap a little, made alike by generate_probe.py.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "tests/eval/hashed.h"

/// [60,5] float64; row n is of class n % 3.
inline torch::Tensor labelled_features() {
  const auto features = torch::empty({60, 5}, torch::kDouble);
  auto value = features.accessor<double, 2>();
  std::uint32_t index = 0;
  for (std::int64_t n = 0; n < 60; ++n) {
    for (std::int64_t d = 0; d < 5; ++d) {
      value[n][d] = (static_cast<double>(hashed(index++) % 2001) - 1000) / 1000;
    }
    value[n][n % 3] += 0.8;
  }
  return features;
}

inline torch::Tensor labelled_classes() { return torch::arange(60).remainder(3); }
