// What a run says while it trains: a line for people and a JSON line for programs.
#pragma once

#include <slotcon/train/collapse_watch.h>
#include <slotcon/train/training_step.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "support/json_lines.h"
#include "support/peak_memory.h"

namespace examples {

/// Seconds as "12s", "3m05s" or "2h07m".
inline std::string duration(double seconds) {
  const auto s = static_cast<long>(std::lround(seconds));
  char text[32];
  if (s < 60) {
    std::snprintf(text, sizeof text, "%lds", s);
  } else if (s < 3600) {
    std::snprintf(text, sizeof text, "%ldm%02lds", s / 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%ldh%02ldm", s / 3600, s / 60 % 60);
  }
  return text;
}

/// One step's figures, read off the device. What is not finite or does not exist is NaN here and
/// null in JSON.
struct StepFigures {
  std::int64_t step, epoch;
  double learning_rate;
  double teacher_momentum;  ///< with which the teacher followed after the step
  double loss;
  double cross_entropy;  ///< mean of both directions; ln K when the student knows nothing
  double contrast;       ///< mean of both directions
  double gradient_norm;  ///< before clipping
  double loss_scale;     ///< of the step; 1 but for fp16
  std::int64_t skipped_steps;
  double active_slots, teacher_entropy, entropy_gap, prototype_perplexity, dead_prototypes;
  double center_norm, disjoint_share;
  double image_wait;       ///< share of the time since the last line that steps waited for images
  std::int64_t positions;  ///< that the diagnostics are over; not logged
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StepFigures, step, epoch, learning_rate, teacher_momentum, loss,
                                   cross_entropy, contrast, gradient_norm, loss_scale,
                                   skipped_steps, active_slots, teacher_entropy, entropy_gap,
                                   prototype_perplexity, dead_prototypes, center_norm,
                                   disjoint_share, image_wait)

/// What a step's result says of it.
inline StepFigures read_figures(const slotcon::TrainingStepResult& result) {
  const auto read = [](const torch::Tensor& figure) {
    return figure.defined() ? figure.item<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  const auto d = result.diagnostics();
  StepFigures figures{};
  figures.loss = read(result.loss);
  figures.cross_entropy = read(result.grouping) / 2;
  figures.contrast = read(result.contrast) / 2;
  figures.gradient_norm = result.gradient_norm;
  figures.active_slots = read(d.active_slots());
  figures.teacher_entropy = read(d.teacher_entropy());
  figures.entropy_gap = read(d.entropy_gap());
  figures.prototype_perplexity = read(d.prototype_perplexity());
  figures.dead_prototypes = read(d.dead_prototypes());
  figures.center_norm = read(d.center_norm());
  figures.disjoint_share = read(d.disjoint_share());
  figures.positions = d.positions();
  return figures;
}

/// How much of the time is spent on one thing.
class TimeShare {
 public:
  /// Calls `work` and counts its time.
  template <class Work>
  auto of(const Work& work) {
    const auto begin = Clock::now();
    auto result = work();
    spent_ += Clock::now() - begin;
    return result;
  }

  /// The share since this was called last, or since the object was made.
  double since_last() {
    const auto now = Clock::now();
    const auto share = std::chrono::duration<double>(spent_) / (now - since_);
    since_ = now;
    spent_ = {};
    return share;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point since_ = Clock::now();
  Clock::duration spent_{};
};

/// Where a run stands when its log begins, and how far it goes.
struct RunLength {
  std::int64_t first_step, total_steps, epochs, batch_size;
  double seconds;  ///< of training before the first step
};

class TrainingLog {
 public:
  /// Writes `folder`/log.jsonl, or goes on with it at the run's first step; nothing if `folder` is
  /// empty.
  TrainingLog(const std::filesystem::path& folder, const RunLength& run)
      : run_(run), terminal_(isatty(STDOUT_FILENO) == 1) {
    if (!folder.empty()) lines_.emplace(folder / "log.jsonl", run.first_step);
  }

  void write(const StepFigures& figures) {
    if (!lines_) return;
    const auto rate = static_cast<double>(figures.step + 1 - run_.first_step) / elapsed();
    nlohmann::json line = figures;
    line["seconds"] = seconds();
    line["images_per_second"] = rate * static_cast<double>(run_.batch_size);
    line["peak_memory_mb"] = peak_memory_mb();
    lines_->write(line);
    show(figures, rate);
  }

  /// Tells of a collapse on standard error and in the log.
  void warn(std::int64_t step, slotcon::Collapse collapse) {
    if (!lines_) return;
    finish();
    std::fprintf(stderr, "warning: %s collapse by step %lld: %s\n", name_of(collapse),
                 static_cast<long long>(step), advice_on(collapse));
    lines_->write(
        {{"step", step}, {"warning", name_of(collapse)}, {"advice", advice_on(collapse)}});
  }

  /// Ends the progress line of a terminal.
  void finish() const {
    if (terminal_) std::printf("\n");
  }

  /// The log is on the disk when the call returns.
  void sync() const {
    if (lines_) lines_->sync();
  }

  /// Seconds of training, those before the first step included.
  double seconds() const { return run_.seconds + elapsed(); }

 private:
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  void show(const StepFigures& f, double rate) {
    const auto now = elapsed();
    const bool last = f.step + 1 == run_.total_steps;
    if (!terminal_ && !last && now < next_line_) return;
    next_line_ = now + kSecondsBetweenLines;
    const auto left = static_cast<double>(run_.total_steps - f.step - 1) / rate;
    std::printf(
        "%sepoch %lld/%lld  step %lld/%lld  %.0f img/s  left %s  loss %.3f (grouping %.3f contrast "
        "%.3f)  slots %.1f%s%s%s",
        terminal_ ? "\r\033[K" : "", static_cast<long long>(f.epoch + 1),
        static_cast<long long>(run_.epochs), static_cast<long long>(f.step + 1),
        static_cast<long long>(run_.total_steps), rate * static_cast<double>(run_.batch_size),
        duration(left).c_str(), f.loss, f.cross_entropy, f.contrast, f.active_slots,
        skipped(f).c_str(), waiting(f).c_str(), terminal_ ? "" : "\n");
    std::fflush(stdout);
  }

  static std::string skipped(const StepFigures& f) {
    return f.skipped_steps == 0 ? "" : "  skipped " + std::to_string(f.skipped_steps);
  }

  /// Said where more --num-workers would make the run faster.
  static std::string waiting(const StepFigures& f) {
    const auto percent = std::lround(100 * f.image_wait);
    return percent < 5 ? "" : "  waits for images " + std::to_string(percent) + "%";
  }

  static constexpr double kSecondsBetweenLines = 10;

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double next_line_ = 0;
  RunLength run_;
  bool terminal_;
  std::optional<JsonLines> lines_;
};

}  // namespace examples
