// Fixture entries into a module's parameters and buffers, and back out into comparisons.
#pragma once

#include <torch/nn/module.h>

#include <map>
#include <regex>
#include <string>

#include "tests/parity/fixture.h"
#include "tests/parity/report.h"

namespace slotcon::parity {

inline std::map<std::string, torch::Tensor> named_state(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& entry : module.named_parameters()) state.emplace(entry.key(), entry.value());
  for (const auto& entry : module.named_buffers()) state.emplace(entry.key(), entry.value());
  return state;
}

/// Fills every parameter and buffer by name; entries left over or missing are errors.
inline void load_state(torch::nn::Module& module,
                       const std::map<std::string, torch::Tensor>& entries) {
  const torch::NoGradGuard no_grad;
  auto state = named_state(module);
  for (auto& [name, tensor] : state) {
    TORCH_CHECK(entries.count(name) == 1, "load_state: the fixture has no entry '", name, "'");
    tensor.copy_(entries.at(name));
  }
  TORCH_CHECK(state.size() == entries.size(), "load_state: the fixture has ", entries.size(),
              " entries, the module ", state.size());
}

/// "mlp.0.bias" -> "mlp.0.weight" if "mlp.1" is a batch norm, which takes any bias out again: the
/// gradient is 0 and what both sides have is rounding, to be measured by the layer's weight.
/// Otherwise the name itself.
inline std::string scale_of(const std::string& name,
                            const std::map<std::string, torch::Tensor>& state) {
  static const std::regex bias_of_layer("(.*\\.)([0-9]+)\\.bias");
  std::smatch part;
  if (!std::regex_match(name, part, bias_of_layer)) return name;
  const auto next = part[1].str() + std::to_string(std::stoi(part[2].str()) + 1);
  const bool is_layer = state.count(part[1].str() + part[2].str() + ".running_mean") == 0;
  const bool before_norm = state.count(next + ".running_mean") == 1;
  return is_layer && before_norm ? part[1].str() + part[2].str() + ".weight" : name;
}

/// Compares the gradients of a module's parameters with the fixture's `grad/*`.
inline void compare_gradients(const std::string& who, const torch::nn::Module& module,
                              const Fixture& f, Report& report) {
  const auto state = named_state(module);
  const auto gradients = f.below("grad/");
  for (const auto& [name, theirs] : gradients) {
    const auto ours = state.find(name);
    report.gradient(who + " grad " + name,
                    ours == state.end() ? torch::Tensor() : ours->second.grad(), theirs,
                    gradients.at(scale_of(name, state)));
  }
}

}  // namespace slotcon::parity
