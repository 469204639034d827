// What the suite measures: sizes and precisions, by device.
#pragma once

#include <slotcon/kernel/activation.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/device.h"
#include "benchmarks/precision.h"

namespace bench {

/// A batch of feature maps [B,D,h,w] and K prototypes.
struct MapSize {
  std::int64_t images, prototypes, height, width, dim;

  std::int64_t positions() const { return height * width; }
  std::string name() const {
    return "B:" + std::to_string(images) + "/K:" + std::to_string(prototypes) +
           "/N:" + std::to_string(positions()) + "/D:" + std::to_string(dim);
  }
};

struct GroupingRows {
  MapSize size;
  Precision precision;
  bool forward_alone;  ///< also without gradient
};

/// Slots [B,K,D] of which some are keys and fewer are anchors.
struct ContrastSize {
  std::int64_t images, prototypes, anchors, keys, dim;

  std::string name() const {
    return "anchors:" + std::to_string(anchors) + "/keys:" + std::to_string(keys) +
           "/D:" + std::to_string(dim);
  }
};

struct ContrastRows {
  ContrastSize size;
  Precision precision;
};

/// Maps [B,C,side,side] that are normalised, and what follows.
struct NormSize {
  slotcon::kernel::Activation activation;
  std::int64_t images, channels, side;

  std::string name() const {
    using slotcon::kernel::Activation;
    const std::string follows = activation == Activation::kRelu      ? "relu"
                                : activation == Activation::kAddRelu ? "add_relu"
                                                                     : "gelu";
    return "B:" + std::to_string(images) + "/C:" + std::to_string(channels) +
           "/N:" + std::to_string(side * side) + "/" + follows;
  }
};

/// A step of `pretrain`.
struct StepSize {
  std::string network;  ///< "tiny", "resnet18" or "resnet50"
  std::int64_t images, pixels, prototypes, dim, hidden_dim;

  std::string name() const {
    return network + "/B:" + std::to_string(images) + "/pixels:" + std::to_string(pixels) +
           "/K:" + std::to_string(prototypes) + "/D:" + std::to_string(dim);
  }
};

/// Everything that is measured on one device.
struct Plan {
  std::shared_ptr<const Device> device;
  std::vector<GroupingRows> grouping;
  std::vector<MapSize> distillation;
  std::vector<ContrastRows> contrast;
  std::vector<MapSize> objective;
  std::vector<NormSize> norms;
  std::vector<StepSize> pretraining;
  std::vector<std::int64_t> copies;  ///< megabytes
};

Plan cpu_plan();

/// Throws c10::Error where make_cuda_device() does.
Plan cuda_plan();

}  // namespace bench
