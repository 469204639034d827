// The states of LibTorch's random number generators, out and back in.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <slotcon/core/named_tensors.h>
#include <torch/types.h>

#include <mutex>
#include <string>
#include <vector>

namespace slotcon {

namespace detail {

inline std::vector<at::Generator> generators_of(torch::Device device) {
  std::vector<at::Generator> generators{at::detail::getDefaultCPUGenerator()};
  if (!device.is_cpu()) generators.push_back(at::globalContext().defaultGenerator(device));
  return generators;
}

}  // namespace detail

/// The states of the CPU's default generator and, for another device, of its own, by the device's
/// kind: what random layers such as dropout draw from.
inline NamedTensors random_state(torch::Device device = torch::kCPU) {
  NamedTensors state;
  for (auto& generator : detail::generators_of(device)) {
    const std::lock_guard lock(generator.mutex());
    state[c10::DeviceTypeName(generator.device().type(), /*lower_case=*/true)] =
        generator.get_state();
  }
  return state;
}

/// Restores what `random_state` gave for a device of this kind. Throws c10::ValueError when the
/// states are of other kinds of devices.
inline void load_random_state(const NamedTensors& state, torch::Device device = torch::kCPU) {
  for (auto& generator : detail::generators_of(device)) {
    const auto name = c10::DeviceTypeName(generator.device().type(), /*lower_case=*/true);
    const auto entry = state.find(name);
    TORCH_CHECK_VALUE(entry != state.end(), "load_random_state: there is no state for ", name);
    const std::lock_guard lock(generator.mutex());
    generator.set_state(entry->second);
  }
}

}  // namespace slotcon
