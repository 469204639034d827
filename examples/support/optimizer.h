// The optimisers that `--optimizer` names.
#pragma once

#include <slotcon/train/adamw.h>
#include <slotcon/train/lars.h>
#include <torch/optim/sgd.h>

#include <memory>
#include <vector>

#include "support/options.h"

namespace examples {

/// The optimiser over the parameters that take a gradient. Its rate is set at each step.
inline std::unique_ptr<torch::optim::Optimizer> make_optimizer(const TrainingOptions& options,
                                                               const torch::nn::Module& model) {
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  if (options.optimizer == "adamw") {
    return std::make_unique<slotcon::AdamW>(
        trained, torch::optim::AdamWOptions(0).weight_decay(options.weight_decay));
  }
  if (options.optimizer == "sgd") {
    return std::make_unique<torch::optim::SGD>(
        trained,
        torch::optim::SGDOptions(0).momentum(options.momentum).weight_decay(options.weight_decay));
  }
  return std::make_unique<slotcon::Lars>(
      trained,
      slotcon::LarsOptions(0).momentum(options.momentum).weight_decay(options.weight_decay));
}

inline void set_learning_rate(torch::optim::Optimizer& optimizer, double rate) {
  for (auto& group : optimizer.param_groups()) group.options().set_lr(rate);
}

}  // namespace examples
