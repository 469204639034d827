// A module's parameters and buffers by name, out of it and back in with every mismatch named.
#pragma once

#include <slotcon/core/named_tensors.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace slotcon {

namespace detail {

inline void append_state(NamedTensors& state, const torch::nn::Module& module,
                         const std::string& prefix) {
  for (const auto& entry : module.named_parameters(/*recurse=*/false))
    state[prefix + entry.key()] = entry.value().detach();
  for (const auto& entry : module.named_buffers(/*recurse=*/false))
    state[prefix + entry.key()] = entry.value().detach();
  for (const auto& child : module.named_children())
    append_state(state, *child.value(), prefix + child.key() + ".");
}

inline std::string described(const torch::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

/// One line for each name whose presence, dtype or shape differs.
inline std::vector<std::string> differences(const NamedTensors& expected,
                                            const NamedTensors& found) {
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : expected) {
    const auto other = found.find(name);
    if (other == found.end()) {
      lines.push_back(name + ": missing");
    } else if (other->second.sizes() != tensor.sizes() ||
               other->second.scalar_type() != tensor.scalar_type()) {
      lines.push_back(name + ": expected " + described(tensor) + ", got " +
                      described(other->second));
    }
  }
  for (const auto& [name, tensor] : found) {
    if (expected.count(name) == 0) lines.push_back(name + ": not in the model");
  }
  return lines;
}

}  // namespace detail

/// The module's own parameters and buffers (not copies), detached, in the order of Python's
/// `state_dict()`: each module's parameters, its buffers, its children.
inline NamedTensors module_state(const torch::nn::Module& module) {
  NamedTensors state;
  detail::append_state(state, module, "");
  return state;
}

/// Copies `state` into the module, by name; devices and memory layouts stay the module's.
///
/// Throws c10::ValueError unless names, shapes and dtypes are those of the module; the message
/// lists up to five differences and the module is left as it was.
inline void load_module_state(torch::nn::Module& module, const NamedTensors& state) {
  const auto own = module_state(module);
  const auto lines = detail::differences(own, state);
  if (!lines.empty()) {
    std::ostringstream text;
    const auto shown = std::min<std::size_t>(lines.size(), 5);
    for (std::size_t i = 0; i < shown; ++i) text << "\n  " << lines[i];
    if (lines.size() > shown) text << "\n  and " << lines.size() - shown << " more";
    TORCH_CHECK_VALUE(false, "load_module_state: the state is of another model:", text.str());
  }
  const torch::NoGradGuard no_grad;
  for (auto [name, tensor] : own) tensor.copy_(state.at(name));
}

}  // namespace slotcon
