// A trained model out of a checkpoint or a file of weights, for the programs that look at one.
#pragma once

#include <slotcon/io/weights.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "support/model.h"
#include "support/model_of_weights.h"

namespace examples {

struct TrainedModel {
  slotcon::NamedTensors weights;
  ModelOptions options;
};

/// `--checkpoint`, a file that read_trained_model() reads.
inline void add_checkpoint_flag(CLI::App& app, std::string& file) {
  app.add_option("--checkpoint", file,
                 "what pretrain or convert wrote, or published weights (.pth)")
      ->required()
      ->check(CLI::ExistingFile);
}

/// True for the files that other programs write and read as well.
inline bool is_weights_file(const std::string& file) {
  const auto extension = std::filesystem::path(file).extension();
  return extension == ".pth" || extension == ".pt" || extension == ".safetensors";
}

/// Reads a checkpoint of pretrain, or SlotCon's weights from a .pth, .pt or .safetensors file:
/// published ones, or what convert wrote. Throws std::runtime_error or c10::ValueError, naming the
/// file, if it is something else.
inline TrainedModel read_trained_model(const std::string& file) {
  if (is_weights_file(file)) {
    auto weights = slotcon::io::read_weights(file);
    auto options = options_of_weights(weights, file);
    return {std::move(weights), std::move(options)};
  }
  auto checkpoint = slotcon::load_checkpoint(file);
  auto options = settings_of(checkpoint, file).at("model").get<ModelOptions>();
  return {std::move(checkpoint.model), std::move(options)};
}

/// Calls `use(model)` with the trained network in evaluation mode.
template <class Use>
auto with_trained_model(const TrainedModel& trained, const Use& use) {
  return with_model(trained.options, [&](auto model) {
    slotcon::load_module_state(*model, trained.weights);
    model->eval();
    return use(model);
  });
}

}  // namespace examples
