// What network some weights are of, by their names and shapes.
#pragma once

#include <slotcon/core/named_tensors.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "support/encoder.h"

namespace examples {
namespace detail {

[[noreturn]] inline void refuse_weights(const std::string& file, const std::string& reason) {
  throw std::runtime_error("'" + file + "' does not have the weights of SlotCon: " + reason);
}

inline torch::Tensor matrix_of(const slotcon::NamedTensors& weights, const std::string& name,
                               const std::string& file) {
  const auto found = weights.find(name);
  if (found == weights.end()) refuse_weights(file, "there is no " + name);
  if (found->second.dim() != 2 || found->second.numel() == 0)
    refuse_weights(file, name + " is not a matrix");
  return found->second;
}

/// The residual blocks of each stage of the student's encoder.
inline std::vector<std::int64_t> blocks_of(const slotcon::NamedTensors& weights) {
  const auto has = [&](std::size_t stage, std::int64_t block) {
    return weights.count("encoder_q.layer" + std::to_string(stage) + "." + std::to_string(block) +
                         ".conv1.weight") == 1;
  };
  std::vector<std::int64_t> blocks;
  while (has(blocks.size() + 1, 0)) {
    std::int64_t count = 1;
    while (has(blocks.size() + 1, count)) ++count;
    blocks.push_back(count);
  }
  return blocks;
}

}  // namespace detail

/// The settings of the SlotCon that the weights are of.
///
/// The temperatures and the weights of the losses, which no tensor tells, are the published ones;
/// a segmentation does not depend on them. Throws std::runtime_error, naming `file`, if there is no
/// such network.
inline ModelOptions options_of_weights(const slotcon::NamedTensors& weights,
                                       const std::string& file) {
  ModelOptions options;
  const auto prototypes = detail::matrix_of(weights, "grouping_q.slot_embed.weight", file);
  options.num_prototypes = prototypes.size(0);
  options.dim_out = prototypes.size(1);
  const auto hidden = detail::matrix_of(weights, "predictor_slot.mlp.3.weight", file);
  if (hidden.size(0) != hidden.size(1))
    detail::refuse_weights(file, "predictor_slot.mlp.3.weight is not square");
  options.dim_hidden = hidden.size(0);
  options.assignment = weights.count("center") == 1 ? "centering" : "sinkhorn";

  const auto blocks = detail::blocks_of(weights);
  const bool bottlenecks = weights.count("encoder_q.layer1.0.conv3.weight") == 1;
  for (const auto* arch : {"resnet18", "resnet34", "resnet50", "resnet101", "tiny"}) {
    options.arch = arch;
    const auto encoder = encoder_options(options);
    const bool has_bottlenecks = encoder.block() == slotcon::ResNetOptions::Block::kBottleneck;
    if (encoder.blocks() == blocks && has_bottlenecks == bottlenecks) return options;
  }
  detail::refuse_weights(file,
                         "its encoder is none of resnet18, resnet34, resnet50, resnet101 and tiny");
}

}  // namespace examples
