// The sizes at which the suite measures.
#pragma once

#include <array>
#include <cstdint>
#include <string>

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

inline constexpr MapSize kCoco{32, 256, 7, 7, 256};  // the published COCO recipe, one of its GPUs
inline constexpr MapSize kImageNet{8, 2048, 14, 14, 256};  // its ImageNet prototypes on a finer map
inline constexpr MapSize kDense{2, 256, 56, 56,
                                256};             // dense prediction: few images, many positions
inline constexpr MapSize kOdd{3, 77, 3, 11, 50};  // no multiple of any vector's width

inline constexpr std::array kMapSizes{kCoco, kImageNet, kDense, kOdd};
inline constexpr std::array kHalfPrecisionSizes{kCoco, kImageNet};

/// Slots [B,K,D] of which some are keys and fewer are anchors.
struct ContrastSize {
  std::int64_t images, prototypes, anchors, keys, dim;

  std::string name() const {
    return "anchors:" + std::to_string(anchors) + "/keys:" + std::to_string(keys) +
           "/D:" + std::to_string(dim);
  }
};

inline constexpr std::array kContrastSizes{ContrastSize{64, 256, 4096, 16384, 256},
                                           ContrastSize{80, 256, 2500, 20000, 256}};

/// A step of `pretrain` on the small network.
struct StepSize {
  std::int64_t images, pixels, prototypes, dim, hidden_dim;

  std::string name() const {
    return "B:" + std::to_string(images) + "/pixels:" + std::to_string(pixels) +
           "/K:" + std::to_string(prototypes) + "/D:" + std::to_string(dim);
  }
};

inline constexpr StepSize kDemo{16, 64, 16, 64, 256};  // examples/recipes/demo.toml

}  // namespace bench
