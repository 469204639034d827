// The learning rate and the teacher's momentum as functions of the step.
#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace slotcon {

/// Linear warm-up, then a half cosine; a rate for every optimiser step.
///
///     step <= W:  base_rate / multiplier * ((multiplier - 1) step / W + 1)
///     step >  W:  final_rate + (base_rate - final_rate) (1 + cos(pi (step - W) / T)) / 2
///
/// with W = warmup_epochs * steps_per_epoch and T = (epochs - warmup_epochs) * steps_per_epoch.
/// Published: multiplier 100, final_rate 1e-6, base_rate 1.0 * total batch / 256.
struct LearningRateSchedule {
  double base_rate;
  std::int64_t steps_per_epoch;
  std::int64_t epochs;
  std::int64_t warmup_epochs = 5;
  double warmup_multiplier = 100;
  double final_rate = 1e-6;

  /// Throws c10::ValueError for numbers that make no schedule.
  void check() const {
    TORCH_CHECK_VALUE(
        base_rate > 0 && steps_per_epoch >= 1 && epochs >= 1,
        "LearningRateSchedule: expected base_rate > 0, steps_per_epoch >= 1 and epochs >= 1, "
        "got ",
        base_rate, ", ", steps_per_epoch, " and ", epochs);
    TORCH_CHECK_VALUE(warmup_epochs >= 0 && warmup_epochs <= epochs,
                      "LearningRateSchedule: expected warmup_epochs in [0, ", epochs, "], got ",
                      warmup_epochs);
    TORCH_CHECK_VALUE(warmup_multiplier > 1,
                      "LearningRateSchedule: expected warmup_multiplier > 1, got ",
                      warmup_multiplier);
  }

  /// The rate used at `step`, from 0. Steps past the end keep the last rate.
  double at(std::int64_t step) const {
    const auto warmup = static_cast<double>(warmup_epochs * steps_per_epoch);
    const auto t = static_cast<double>(step);
    if (warmup_epochs > 0 && t <= warmup) {
      return base_rate / warmup_multiplier * ((warmup_multiplier - 1) * t / warmup + 1);
    }
    const auto cosine_steps = static_cast<double>((epochs - warmup_epochs) * steps_per_epoch);
    const auto phase = std::min(1.0, (t - warmup) / std::max(1.0, cosine_steps));
    return final_rate + (base_rate - final_rate) * (1 + std::cos(M_PI * phase)) / 2;
  }
};

/// The teacher's momentum at `step`: from `base` at step 0 to 1 at `total_steps` along a half
/// cosine.
///
///     1 - (1 - base) (cos(pi step / total_steps) + 1) / 2
///
/// Steps past the end give 1. Published: base 0.99, total_steps = images / batch * epochs, rounded
/// down. Throws c10::ValueError unless total_steps >= 1 and base is in [0,1].
inline double teacher_momentum(std::int64_t step, std::int64_t total_steps, double base = 0.99) {
  TORCH_CHECK_VALUE(total_steps >= 1 && base >= 0 && base <= 1,
                    "teacher_momentum: expected total_steps >= 1 and base in [0,1], got ",
                    total_steps, " and ", base);
  const auto progress = std::min(1.0, static_cast<double>(step) / static_cast<double>(total_steps));
  return 1 - (1 - base) * (std::cos(M_PI * progress) + 1) / 2;
}

}  // namespace slotcon
