// What a run says while it trains: a line for people and a JSON line for programs.
#pragma once

#include <slotcon/loss/slotcon_loss.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

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

/// One step's figures, read off the device.
struct StepFigures {
  std::int64_t step, epoch;
  double learning_rate, teacher_momentum;
  double loss;
  double cross_entropy;  ///< mean of both directions; ln K when the student knows nothing
  double contrast;       ///< mean of both directions
  double active_slots, teacher_entropy, prototype_perplexity, dead_prototypes, disjoint_share;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StepFigures, step, epoch, learning_rate, teacher_momentum, loss,
                                   cross_entropy, contrast, active_slots, teacher_entropy,
                                   prototype_perplexity, dead_prototypes, disjoint_share)

inline StepFigures read_figures(const slotcon::SlotConLossOutput& output) {
  const auto& d = output.diagnostics;
  StepFigures figures{};
  figures.loss = output.loss.item<double>();
  figures.cross_entropy = output.grouping.item<double>() / 2;
  figures.contrast = output.contrast.item<double>() / 2;
  figures.active_slots = d.active_slots().item<double>();
  figures.teacher_entropy = d.teacher_entropy().item<double>();
  figures.prototype_perplexity = d.prototype_perplexity().item<double>();
  figures.dead_prototypes = d.dead_prototypes().item<double>();
  figures.disjoint_share = d.disjoint_share().item<double>();
  return figures;
}

class TrainingLog {
 public:
  /// Writes `folder`/log.jsonl, or goes on with it after step 0; nothing if `folder` is empty.
  /// `first_step` and `total_steps` say how far the run is and goes.
  TrainingLog(const std::filesystem::path& folder, std::int64_t first_step,
              std::int64_t total_steps, std::int64_t epochs, std::int64_t batch_size)
      : first_step_(first_step),
        total_steps_(total_steps),
        epochs_(epochs),
        batch_size_(batch_size),
        terminal_(isatty(STDOUT_FILENO) == 1) {
    if (folder.empty()) return;
    file_.open(folder / "log.jsonl", first_step > 0 ? std::ios::app : std::ios::trunc);
    if (!file_)
      throw std::runtime_error("cannot write to '" + (folder / "log.jsonl").string() + "'");
  }

  void write(const StepFigures& figures) {
    if (!file_.is_open()) return;
    const auto seconds = elapsed();
    const auto rate = static_cast<double>(figures.step + 1 - first_step_) / seconds;
    nlohmann::json line = figures;
    line["seconds"] = seconds;
    line["images_per_second"] = rate * static_cast<double>(batch_size_);
    file_ << line.dump() << '\n' << std::flush;
    show(figures, rate);
  }

  /// Ends the progress line of a terminal.
  void finish() const {
    if (terminal_) std::printf("\n");
  }

  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  void show(const StepFigures& f, double rate) {
    const auto now = elapsed();
    const bool last = f.step + 1 == total_steps_;
    if (!terminal_ && !last && now < next_line_) return;
    next_line_ = now + kSecondsBetweenLines;
    const auto left = static_cast<double>(total_steps_ - f.step - 1) / rate;
    std::printf(
        "%sepoch %lld/%lld  step %lld/%lld  %.0f img/s  left %s  loss %.3f (grouping %.3f contrast "
        "%.3f)"
        "  slots %.1f%s",
        terminal_ ? "\r\033[K" : "", static_cast<long long>(f.epoch + 1),
        static_cast<long long>(epochs_), static_cast<long long>(f.step + 1),
        static_cast<long long>(total_steps_), rate * static_cast<double>(batch_size_),
        duration(left).c_str(), f.loss, f.cross_entropy, f.contrast, f.active_slots,
        terminal_ ? "" : "\n");
    std::fflush(stdout);
  }

  static constexpr double kSecondsBetweenLines = 10;

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double next_line_ = 0;
  std::int64_t first_step_, total_steps_, epochs_, batch_size_;
  bool terminal_;
  std::ofstream file_;
};

}  // namespace examples
