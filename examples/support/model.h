// From settings to a network, and from a checkpoint to the network that it holds.
#pragma once

#include <slotcon/model/memory_format.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/train/checkpoint.h>

#include <stdexcept>
#include <string>

#include "support/encoder.h"
#include "support/options.h"

namespace examples {

template <class Loss>
slotcon::SlotCon<slotcon::ResNet, Loss> make_model(const ModelOptions& options) {
  torch::manual_seed(options.seed);
  const auto loss = slotcon::SlotConLossOptions(options.num_prototypes, options.dim_out)
                        .student_temperature(options.student_temp)
                        .teacher_temperature(options.teacher_temp)
                        .center_momentum(options.center_momentum)
                        .grouping_weight(options.group_loss_weight);
  slotcon::SlotCon<slotcon::ResNet, Loss> model(
      slotcon::ResNet(encoder_options(options)),
      slotcon::SlotConOptions().hidden_dim(options.dim_hidden).loss(loss));
  slotcon::to_channels_last(*model);
  return model;
}

/// Calls `use(model)` with a fresh model of the settings; the teacher's assignment decides its
/// type.
template <class Use>
auto with_model(const ModelOptions& options, const Use& use) {
  if (options.assignment == "sinkhorn")
    return use(make_model<slotcon::SinkhornSlotConLoss>(options));
  return use(make_model<slotcon::SlotConLoss>(options));
}

/// The settings that a checkpoint was trained with.
inline nlohmann::json settings_of(const slotcon::Checkpoint& checkpoint, const std::string& file) {
  const auto settings =
      nlohmann::json::parse(checkpoint.options, nullptr, /*allow_exceptions=*/false);
  if (!settings.is_object() || !settings.contains("model")) {
    throw std::runtime_error("'" + file + "' was not written by pretrain: it has no settings");
  }
  return settings;
}

/// Throws std::runtime_error, listing what differs, unless a run with `wanted` settings can go on
/// from `kept`.
inline void require_equal_settings(const nlohmann::json& kept, const nlohmann::json& wanted,
                                   const std::string& file) {
  std::string lines;
  for (const auto& [group, settings] : wanted.items()) {
    for (const auto& [name, value] : settings.items()) {
      const auto other = kept.value(group, nlohmann::json::object()).value(name, nlohmann::json());
      if (other != value)
        lines += "\n  " + name + ": " + other.dump() + " there, " + value.dump() + " now";
    }
  }
  if (!lines.empty())
    throw std::runtime_error("cannot go on from '" + file + "', other settings:" + lines);
}

}  // namespace examples
