// Sees when a run has collapsed, and says what that means and what to change.
#pragma once

#include <c10/util/Exception.h>
#include <torch/arg.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace slotcon {

/// The ways in which the grouping comes to mean nothing.
enum class Collapse {
  kUniform,  ///< the teacher prefers no prototype anywhere: its entropy sits at ln K
  kOneHot,   ///< the teacher is sure of everything: its entropy sits at 0
  kDead      ///< nearly all prototypes win nothing
};

/// A short name, for logs: "uniform", "one-hot" or "dead prototypes".
inline const char* name_of(Collapse collapse) {
  switch (collapse) {
    case Collapse::kUniform:
      return "uniform";
    case Collapse::kOneHot:
      return "one-hot";
    case Collapse::kDead:
      return "dead prototypes";
  }
  return "invalid";
}

/// What it means and what to change, for people.
inline const char* advice_on(Collapse collapse) {
  switch (collapse) {
    case Collapse::kUniform:
      return "the teacher's entropy sits at ln K: it prefers no prototype anywhere, and the "
             "student "
             "learns nothing from it. Take milder augmentation (larger crops, less blur), a lower "
             "teacher temperature or a longer warm-up";
    case Collapse::kOneHot:
      return "the teacher's entropy sits at 0: it is sure of every position, whatever it shows. "
             "Let "
             "the centre move faster (a lower centre momentum; commit() must be called every "
             "step), "
             "or take a higher teacher temperature or a lower learning rate";
    case Collapse::kDead:
      return "nearly all prototypes win no position of a whole batch: the images are split into "
             "too "
             "few groups. Take fewer prototypes, a lower centre momentum or a lower learning rate";
  }
  return "invalid";
}

/// Whom to watch, and from when on.
struct CollapseWatchOptions {
  CollapseWatchOptions(std::int64_t num_prototypes, std::int64_t first_step)
      : num_prototypes_(num_prototypes), first_step_(first_step) {}

  TORCH_ARG(std::int64_t, num_prototypes);   ///< K >= 1.
  TORCH_ARG(std::int64_t, first_step);       ///< >= 0: the warm-up before it is not looked at.
  TORCH_ARG(std::int64_t, patience) = 1000;  ///< >= 1: steps that a sign must last.
};

/// Figures of a step that are looked at; see `SlotDiagnostics`.
struct CollapseSigns {
  double teacher_entropy;
  double dead_prototypes;
  std::int64_t positions;  ///< of the batch: some prototypes must win nothing where it has fewer
};

/// What a `CollapseWatch` remembers, by `Collapse`.
struct CollapseWatchState {
  std::array<std::int64_t, 3> since{-1, -1, -1};  ///< step since when the sign lasts; -1: none
  std::array<bool, 3> told{};                     ///< the warning was given
};

/// Watches the figures of a run and tells of each kind of collapse once.
///
///     uniform:          entropy >= (1 - kEntropyMargin) ln K
///     one-hot:          entropy <= kEntropyMargin ln K
///     dead prototypes:  K - dead <= max(1, kLeastWinners * min(K, positions))
///
/// in all steps that are shown to it over `patience` steps from `first_step` on. A figure that is
/// not finite is no sign, and one prototype cannot collapse. It sees what has been read for the log
/// anyway, so it costs no waiting for the device.
///
/// The numbers are out of reach of healthy runs: those measured (docs/diagnostics.md) start with a
/// plateau of up to 400 steps where the entropy comes within 4.5 % of ln K, and leave up to 11 of
/// 16 prototypes without a position for 500 steps.
/// Throws c10::ValueError for numbers out of range.
class CollapseWatch {
 public:
  static constexpr double kEntropyMargin = 0.01;
  static constexpr double kLeastWinners = 0.1;

  explicit CollapseWatch(const CollapseWatchOptions& options) : options_(options) {
    TORCH_CHECK_VALUE(
        options.num_prototypes() >= 1 && options.first_step() >= 0 && options.patience() >= 1,
        "CollapseWatch: expected num_prototypes >= 1, first_step >= 0 and patience "
        ">= 1, got ",
        options.num_prototypes(), ", ", options.first_step(), " and ", options.patience());
  }

  /// Takes the figures of a step, later than those before; gives what has now lasted too long and
  /// was not told yet.
  std::vector<Collapse> observe(std::int64_t step, const CollapseSigns& signs) {
    std::vector<Collapse> news;
    if (step < options_.first_step() || options_.num_prototypes() == 1) return news;
    for (const auto kind : {Collapse::kUniform, Collapse::kOneHot, Collapse::kDead}) {
      const auto i = static_cast<std::size_t>(kind);
      auto& since = state_.since[i];
      if (!shows(kind, signs)) {
        since = -1;
        continue;
      }
      if (since < 0) since = step;
      if (step - since < options_.patience() || state_.told[i]) continue;
      state_.told[i] = true;
      news.push_back(kind);
    }
    return news;
  }

  const CollapseWatchState& state() const { return state_; }
  void load_state(const CollapseWatchState& state) { state_ = state; }

 private:
  bool shows(Collapse kind, const CollapseSigns& signs) const {
    const auto k = static_cast<double>(options_.num_prototypes());
    switch (kind) {
      case Collapse::kUniform:
        return signs.teacher_entropy >= (1 - kEntropyMargin) * std::log(k);
      case Collapse::kOneHot:
        return signs.teacher_entropy <= kEntropyMargin * std::log(k);
      case Collapse::kDead:
        return k - signs.dead_prototypes <=
               std::max(1.0, kLeastWinners * std::min(k, static_cast<double>(signs.positions)));
    }
    return false;
  }

  CollapseWatchOptions options_;
  CollapseWatchState state_;
};

}  // namespace slotcon
