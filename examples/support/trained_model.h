// A trained model out of a checkpoint, for the programs that look at one.
#pragma once

#include <string>

#include "support/model.h"

namespace examples {

struct TrainedModel {
  slotcon::Checkpoint checkpoint;
  ModelOptions options;
};

/// Reads a checkpoint of pretrain. Throws std::runtime_error, naming the file, if it is something
/// else.
inline TrainedModel read_trained_model(const std::string& file) {
  TrainedModel trained{slotcon::load_checkpoint(file), {}};
  trained.options = settings_of(trained.checkpoint, file).at("model").get<ModelOptions>();
  return trained;
}

/// Calls `use(model)` with the trained network in evaluation mode.
template <class Use>
auto with_trained_model(const TrainedModel& trained, const Use& use) {
  return with_model(trained.options, [&](auto model) {
    slotcon::load_module_state(*model, trained.checkpoint.model);
    model->eval();
    return use(model);
  });
}

}  // namespace examples
