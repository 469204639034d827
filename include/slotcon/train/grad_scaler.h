// Loss scaling, which keeps float16 gradients from vanishing or overflowing.
#pragma once

#include <c10/util/Exception.h>
#include <torch/arg.h>

#include <cstdint>
#include <limits>

namespace slotcon {

/// Numbers of the scaler; the defaults are PyTorch's.
struct GradScalerOptions {
  TORCH_ARG(double, initial_scale) = 65536;         ///< > 0.
  TORCH_ARG(double, growth_factor) = 2;             ///< > 1.
  TORCH_ARG(double, backoff_factor) = 0.5;          ///< in (0,1).
  TORCH_ARG(std::int64_t, growth_interval) = 2000;  ///< >= 1: good steps in a row before it grows.
};

/// The factor by which a loss is multiplied before the backward pass and its gradients divided
/// after it.
///
///     overflow:                               scale <- scale * backoff_factor
///     growth_interval good steps in a row:    scale <- scale * growth_factor, if float32 holds it
///
/// An optimiser step, of one backward pass or several, is
///
///     (loss * scaler.scale()).backward();
///     const bool finite = ...;            // of the loss and of all gradients, on all processes
///     if (finite) {                       // else the step is left out
///       ...                               // gradients * (1 / scaler.scale())
///       optimizer.step();
///     }
///     scaler.update(finite);
///
/// The scale is a number of the host: nothing here waits for a device. `TrainingStep` does all of
/// it. Throws c10::ValueError for numbers out of range.
/// Source: torch.amp.GradScaler; Micikevicius et al., ICLR 2018.
class GradScaler {
 public:
  /// What changes from step to step.
  struct State {
    double scale = 0;
    std::int64_t good_steps = 0;  ///< in a row, since the scale last changed
  };

  explicit GradScaler(const GradScalerOptions& options = {})
      : options_(options), state_{options.initial_scale(), 0} {
    TORCH_CHECK_VALUE(
        options.initial_scale() > 0 && options.growth_factor() > 1 &&
            options.backoff_factor() > 0 && options.backoff_factor() < 1 &&
            options.growth_interval() >= 1,
        "GradScaler: expected initial_scale > 0, growth_factor > 1, backoff_factor in (0,1) and "
        "growth_interval >= 1, got ",
        options.initial_scale(), ", ", options.growth_factor(), ", ", options.backoff_factor(),
        " and ", options.growth_interval());
  }

  double scale() const { return state_.scale; }

  /// Ends a step; `finite` says whether its gradients were.
  void update(bool finite) {
    if (!finite) {
      state_ = {state_.scale * options_.backoff_factor(), 0};
    } else if (++state_.good_steps == options_.growth_interval()) {
      const auto grown = state_.scale * options_.growth_factor();
      state_ = {grown <= std::numeric_limits<float>::max() ? grown : state_.scale, 0};
    }
  }

  const State& state() const { return state_; }
  void load_state(const State& state) { state_ = state; }

 private:
  GradScalerOptions options_;
  State state_;
};

}  // namespace slotcon
