// Trains SlotCon on images and shows what its slots found. `pretrain --help` lists the flags.
//
// The procedural scenes, in minutes on two cores:
//     pretrain --recipe examples/recipes/scenes.toml
//
// The published recipe on a folder of images, and going on where that stopped:
//     pretrain --data photos/ --output-dir run1
//     pretrain --data photos/ --output-dir run1 --auto-resume
//
// The same as two processes that share the batches:
//     pretrain --data photos/ --output-dir run1 --nproc 2
//     torchrun --standalone --nproc-per-node 2 --no-python pretrain --data photos/ ...
#include <ATen/Parallel.h>
#include <slotcon/data/two_view_loader.h>
#include <slotcon/train/schedule.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/allocator.h"
#include "support/checkpoint_files.h"
#include "support/errors.h"
#include "support/evaluation.h"
#include "support/interrupt.h"
#include "support/pictures.h"
#include "support/processes.h"
#include "support/report/reports.h"
#include "support/training_images.h"
#include "support/training_log.h"
#include "support/training_state.h"

namespace examples {
namespace {

using std::filesystem::path;

/// The checkpoint to go on from; none for a fresh run.
std::string checkpoint_to_resume(const RunOptions& run, const CheckpointFiles& files) {
  if (run.auto_resume && std::filesystem::exists(files.current())) return files.current();
  return run.resume;
}

/// A run in progress: the state of training, the data and the schedules that lead it, and its
/// files.
template <class Model>
class Run {
 public:
  Run(Model model, const PretrainOptions& options, const Processes& processes,
      std::shared_ptr<slotcon::data::ImageSource> images)
      : options_(options),
        processes_(processes),
        image_count_(images->size()),
        loader_(std::move(images), loader_options(options, processes)),
        schedule_(schedule_of(options, loader_.batches_per_epoch())),
        files_(options.run.output_dir, options.run.keep),
        state_(std::move(model), options, processes.group(),
               schedule_.warmup_epochs * schedule_.steps_per_epoch) {
    schedule_.check();
    const auto checkpoint = checkpoint_to_resume(options.run, files_);
    if (!checkpoint.empty()) resume(checkpoint);
    slotcon::broadcast_state(*state_.model, processes.group().get());
  }

  /// True when training ended; false when it was interrupted and saved.
  bool train() {
    announce();
    saved_at_ = state_.seconds;
    TrainingLog log(processes_.is_first() ? options_.run.output_dir : "",
                    {state_.step, total_steps(), options_.training.epochs,
                     options_.training.batch_size, state_.seconds});
    try {
      while (state_.step < total_steps()) {
        if (!train_epoch(log)) return false;
      }
    } catch (const slotcon::TrainingDiverged& error) {
      log.finish();
      state_.seconds = log.seconds();
      if (processes_.is_first()) write_report(options_, progress("diverged"), {});
      throw std::runtime_error(error.what() + last_checkpoint());
    }
    log.finish();
    std::printf("trained %lld steps in %s\n", static_cast<long long>(total_steps()),
                duration(log.seconds()).c_str());
    return true;
  }

  RunProgress progress(const char* status) const {
    return {status, state_.step, total_steps(), image_count_, state_.seconds};
  }

 private:
  static slotcon::data::TwoViewLoaderOptions loader_options(const PretrainOptions& options,
                                                            const Processes& processes) {
    slotcon::data::TwoViewLoaderOptions loader;
    loader.batch_size = options.training.batch_size;
    loader.processes = processes.count();
    loader.rank = processes.rank();
    loader.workers = static_cast<int>(options.run.num_workers);
    loader.seed = options.model.seed;
    loader.views = view_options(options.training);
    return loader;
  }

  static slotcon::LearningRateSchedule schedule_of(const PretrainOptions& options,
                                                   std::int64_t steps_per_epoch) {
    const auto& t = options.training;
    const auto base_rate = t.base_lr * static_cast<double>(t.batch_size) / 256;
    return {base_rate, steps_per_epoch, t.epochs, t.warmup_epoch, t.warmup_multiplier};
  }

  void announce() const {
    const auto& training = options_.training;
    const auto prototypes = options_.model.num_prototypes;
    std::printf("%lld images, %lld steps an epoch, %lld epochs, learning rate %.3g\n",
                static_cast<long long>(image_count_),
                static_cast<long long>(loader_.batches_per_epoch()),
                static_cast<long long>(training.epochs), schedule_.base_rate);
    std::printf(
        "%lld prototypes: a grouping loss of ln %lld = %.2f means that nothing is learned yet\n",
        static_cast<long long>(prototypes), static_cast<long long>(prototypes),
        std::log(static_cast<double>(prototypes)));
    if (training.precision == "fp16") {
      std::printf("float16 is slow on the CPU, a hundred times in the backward pass: take bf16\n");
    }
  }

  std::int64_t total_steps() const {
    return loader_.batches_per_epoch() * options_.training.epochs;
  }

  /// With which the teacher follows before a step. As published, it ends with all images, those
  /// included that the last partial batch leaves out.
  double teacher_momentum(std::int64_t step) const {
    const auto& training = options_.training;
    const auto teacher_steps = image_count_ * training.epochs / training.batch_size;
    return slotcon::teacher_momentum(step, teacher_steps, training.teacher_momentum);
  }

  bool train_epoch(TrainingLog& log) {
    const auto per_epoch = loader_.batches_per_epoch();
    loader_.begin_epoch(state_.step / per_epoch, state_.step % per_epoch);
    while (auto views = image_wait_.of([&] { return loader_.next(); })) {
      train_step(*views, log);
      save_if_due(log);
      if (processes_.any(interrupted())) {
        log.finish();
        save(log, "interrupted");
        processes_.wait_for_all();  // one that ends is a reason to end the others
        std::printf("interrupted at step %lld; saved to %s, --auto-resume goes on from there\n",
                    static_cast<long long>(state_.step), files_.current().c_str());
        return false;
      }
    }
    return true;
  }

  void train_step(const slotcon::TwoViews& views, TrainingLog& log) {
    const auto step = state_.step++;
    const auto rate = schedule_.at(step);
    const auto momentum = teacher_momentum(step + 1);
    const auto loss_scale = state_.training_step.loss_scale();
    set_learning_rate(*state_.optimizer, rate);
    const auto result = state_.training_step.run(views, momentum);
    if (step % options_.run.print_freq == 0 || state_.step == total_steps()) {
      auto figures = read_figures(processes_.averaged(result));
      figures.step = step;
      figures.epoch = step / loader_.batches_per_epoch();
      figures.learning_rate = rate;
      figures.teacher_momentum = momentum;
      figures.loss_scale = loss_scale;
      figures.image_wait = image_wait_.since_last();
      figures.skipped_steps = state_.training_step.state().skipped;
      report(figures, log);
    }
  }

  void report(const StepFigures& figures, TrainingLog& log) {
    log.write(figures);
    const auto collapses = state_.watch.observe(
        figures.step, {figures.teacher_entropy, figures.dead_prototypes, figures.positions});
    for (const auto collapse : collapses) log.warn(figures.step, collapse);
  }

  void save_if_due(const TrainingLog& log) {
    const auto epoch = state_.step / loader_.batches_per_epoch();
    const bool epoch_ends = state_.step % loader_.batches_per_epoch() == 0;
    const bool last = epoch == options_.training.epochs;
    const bool by_epoch = epoch_ends && (last || epoch % options_.run.save_freq == 0);
    const auto seconds = 60 * options_.run.save_minutes;
    if (by_epoch || (seconds > 0 && log.seconds() - saved_at_ >= seconds)) save(log);
    if (by_epoch && processes_.is_first()) files_.number(epoch);
  }

  void save(const TrainingLog& log, const char* status = "running") {
    if (!processes_.is_first()) return;
    log.sync();
    state_.seconds = saved_at_ = log.seconds();
    files_.save(state_.checkpoint(settings()));
    write_report(options_, progress(status), {});
  }

  /// What must be the same for a run to go on: also the images that its folder holds.
  nlohmann::json settings() const {
    auto settings = to_json(options_);
    settings["data"]["images"] = image_count_;
    return settings;
  }

  void resume(const std::string& file) {
    const auto checkpoint = slotcon::load_checkpoint(file);
    require_equal_settings(settings_of(checkpoint, file), settings(), file);
    state_.load(checkpoint);
    std::printf("going on from %s at step %lld of %lld\n", file.c_str(),
                static_cast<long long>(state_.step), static_cast<long long>(total_steps()));
  }

  std::string last_checkpoint() const {
    if (!std::filesystem::exists(files_.current())) return "";
    return "; the last checkpoint is '" + files_.current().string() + "'";
  }

  const PretrainOptions& options_;
  const Processes& processes_;
  std::int64_t image_count_;
  slotcon::data::TwoViewLoader loader_;
  slotcon::LearningRateSchedule schedule_;
  CheckpointFiles files_;
  TrainingState<Model> state_;
  TimeShare image_wait_;
  double saved_at_ = 0;  ///< seconds of training
};

/// The table of scores, where there are labels.
template <class Model>
std::optional<ReportedScores> score(Model& model, const PretrainOptions& options) {
  const auto set = labelled_images(options);
  if (!set) return std::nullopt;
  const auto scoring = scoring_options(options);
  auto rows = score_table(model, options.model, *set, scoring);
  print_table(rows, set->images.size());
  write_json(path(options.run.output_dir) / "scores.json", rows);
  return ReportedScores{std::move(rows),
                        scoring_protocol(*set, name_of_labelled_images(options), scoring),
                        class_names(options)};
}

/// The sheet of heat maps of the first images that the run is scored on, or else trained on.
template <class Model>
void draw(Model& model, const PretrainOptions& options, const slotcon::data::ImageSource& images) {
  constexpr std::int64_t kRows = 6;
  constexpr std::int64_t kHeatMaps = 5;
  std::vector<slotcon::data::Image> shown;
  for (std::int64_t i = 0; i < std::min(kRows, images.size()); ++i) shown.push_back(images.load(i));
  const auto maps = dense_maps(model, shown);
  slotcon::data::write_png(path(options.run.output_dir) / "slots.png",
                           slot_sheet(shown, maps.scores, kHeatMaps));
}

void list_files(const path& folder) {
  std::printf("\nFiles\n");
  const std::vector<std::pair<const char*, const char*>> files{
      {"report.html", "all of it on a page: pictures, scores, curves, options"},
      {"slots.png", "image, segmentation, heat maps of its largest slots (blue low, red high)"},
      {"scores.json", "the table of scores, with the classes' own"},
      {"log.jsonl", "a line of figures every few steps"},
      {"current.ckpt", "the run, for --resume, segment and visualize"}};
  for (const auto& [name, content] : files) {
    if (std::filesystem::exists(folder / name)) {
      std::printf("  %s  %s\n", (folder / name).c_str(), content);
    }
  }
}

template <class Model>
int pretrain(Model model, const PretrainOptions& options, const Processes& processes) {
  const auto images = open_images(options);
  Run<Model> run(model, options, processes, images);
  if (!run.train()) return kInterruptedExit;
  if (!processes.is_first()) return 0;
  Findings findings{score(model, options), std::nullopt};
  const auto shown = images_to_show(options, images);
  draw(model, options, *shown.source);
  findings.pictures = look_at(model, *shown.source, shown.names, shown.description);
  write_report(options, run.progress("finished"), findings);
  list_files(options.run.output_dir);
  return 0;
}

int run_program(int argc, char** argv) {
  PretrainOptions options;
  CLI::App app("Trains SlotCon on images and shows what its slots found.");
  add_pretrain_flags(app, options);
  CLI11_PARSE(app, argc, argv);
  keep_freed_memory();
  check_evaluation_flags(options.run);
  if (has_to_start_processes(options.run)) {
    return run_as_processes("pretrain", options.run.nproc, argv);
  }
  if (options.run.threads > 0) at::set_num_threads(static_cast<int>(options.run.threads));
  std::filesystem::create_directories(options.run.output_dir);
  note_interrupts();
  const Processes processes(options.run);
  return with_model(options.model, [&](auto model) { return pretrain(model, options, processes); });
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("pretrain", examples::run_program, argc, argv);
}
