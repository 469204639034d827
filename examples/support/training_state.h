// What a run carries from step to step: all of it goes into a checkpoint and comes back out.
#pragma once

#include <slotcon/train/checkpoint.h>
#include <slotcon/train/collapse_watch.h>
#include <slotcon/train/random_state.h>
#include <slotcon/train/training_step.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "support/optimizer.h"
#include "support/options.h"

namespace slotcon {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GradScaler::State, scale, good_steps)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainingStepState, scaler, skipped, skipped_in_a_row)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CollapseWatchState, since, told)

}  // namespace slotcon

namespace examples {

inline slotcon::TrainingStepOptions step_options(const TrainingOptions& options) {
  const auto precision = options.precision == "bf16"   ? torch::kBFloat16
                         : options.precision == "fp16" ? torch::kHalf
                                                       : torch::kFloat;
  return slotcon::TrainingStepOptions()
      .precision(precision)
      .parts(options.accumulate)
      .clip_norm(options.clip_norm);
}

template <class Model>
struct TrainingState {
  /// The model joins `group`. `warmup_steps`: those that the watch leaves out.
  TrainingState(Model fresh_model, const PretrainOptions& options,
                const slotcon::CollectivesPtr& group, std::int64_t warmup_steps)
      : model(joined(std::move(fresh_model), group)),
        optimizer(make_optimizer(options.training, *model)),
        training_step(model, *optimizer, step_options(options.training)),
        watch({options.model.num_prototypes, warmup_steps}) {}

  slotcon::Checkpoint checkpoint(const nlohmann::json& settings) const {
    const nlohmann::json progress{
        {"training_step", training_step.state()}, {"watch", watch.state()}, {"seconds", seconds}};
    return {settings.dump(),
            step,
            slotcon::module_state(*model),
            slotcon::optimizer_state(*optimizer),
            slotcon::random_state(),
            progress.dump()};
  }

  void load(const slotcon::Checkpoint& checkpoint) {
    step = checkpoint.step;
    slotcon::load_module_state(*model, checkpoint.model);
    slotcon::load_optimizer_state(*optimizer, checkpoint.optimizer);
    slotcon::load_random_state(checkpoint.random);
    const auto progress = nlohmann::json::parse(checkpoint.progress);
    training_step.load_state(progress.at("training_step").get<slotcon::TrainingStepState>());
    watch.load_state(progress.at("watch").get<slotcon::CollapseWatchState>());
    progress.at("seconds").get_to(seconds);
  }

  static Model joined(Model model, const slotcon::CollectivesPtr& group) {
    model->join(group);
    return model;
  }

  Model model;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  slotcon::TrainingStep<Model> training_step;
  slotcon::CollapseWatch watch;
  std::int64_t step = 0;  ///< optimiser steps done
  double seconds = 0;     ///< of training, those of earlier processes included
};

}  // namespace examples
