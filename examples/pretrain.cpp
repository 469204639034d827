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

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/allocator.h"
#include "support/errors.h"
#include "support/evaluation.h"
#include "support/interrupt.h"
#include "support/optimizer.h"
#include "support/pictures.h"
#include "support/processes.h"
#include "support/training_images.h"
#include "support/training_log.h"

namespace examples {
namespace {

using std::filesystem::path;

path last_checkpoint(const RunOptions& run) { return path(run.output_dir) / "current.ckpt"; }

/// The checkpoint to go on from; none for a fresh run.
std::string checkpoint_to_resume(const RunOptions& run) {
  if (run.auto_resume && std::filesystem::exists(last_checkpoint(run))) return last_checkpoint(run);
  return run.resume;
}

/// A run in progress: the model, its optimiser and the step it is at.
template <class Model>
class Run {
 public:
  Run(Model model, const PretrainOptions& options, const Processes& processes,
      std::shared_ptr<slotcon::data::ImageSource> images)
      : model_(std::move(model)),
        options_(options),
        processes_(processes),
        optimizer_(make_optimizer(options.training, *model_)),
        gradients_(model_->parameters(), processes.group()),
        image_count_(images->size()),
        loader_(std::move(images), loader_options(options, processes)),
        schedule_(schedule_of(options, loader_.batches_per_epoch())) {
    schedule_.check();
    model_->join(processes.group());
    const auto checkpoint = checkpoint_to_resume(options.run);
    if (!checkpoint.empty()) resume(checkpoint);
    slotcon::broadcast_state(*model_, processes.group().get());
  }

  /// True when training ended; false when it was interrupted and saved.
  bool train() {
    announce();
    TrainingLog log(processes_.is_first() ? options_.run.output_dir : "", step_, total_steps(),
                    options_.training.epochs, options_.training.batch_size);
    while (step_ < total_steps()) {
      const auto epoch = step_ / loader_.batches_per_epoch();
      if (!train_epoch(epoch, log)) return false;
      const bool last = epoch + 1 == options_.training.epochs;
      if (last || (epoch + 1) % options_.run.save_freq == 0) save();
    }
    log.finish();
    std::printf("trained %lld steps in %s\n", static_cast<long long>(total_steps()),
                duration(log.elapsed()).c_str());
    return true;
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
  }

  std::int64_t total_steps() const {
    return loader_.batches_per_epoch() * options_.training.epochs;
  }

  /// As published: of all images, those included that the last partial batch leaves out.
  std::int64_t teacher_steps() const {
    return image_count_ * options_.training.epochs / options_.training.batch_size;
  }

  bool train_epoch(std::int64_t epoch, TrainingLog& log) {
    loader_.begin_epoch(epoch, step_ % loader_.batches_per_epoch());
    while (auto views = loader_.next()) {
      train_step(*views, epoch, log);
      if (processes_.any(interrupted())) {
        log.finish();
        save();
        processes_.wait_for_all();  // one that ends is a reason to end the others
        std::printf("interrupted at step %lld; saved to %s, --auto-resume goes on from there\n",
                    static_cast<long long>(step_), last_checkpoint(options_.run).c_str());
        return false;
      }
    }
    return true;
  }

  void train_step(const slotcon::TwoViews& views, std::int64_t epoch, TrainingLog& log) {
    const auto rate = schedule_.at(step_);
    const auto momentum =
        slotcon::teacher_momentum(step_, teacher_steps(), options_.training.teacher_momentum);
    set_learning_rate(*optimizer_, rate);
    model_->update_teacher(momentum);
    const auto output = model_->forward(views);
    optimizer_->zero_grad();
    gradients_.start();
    output.loss.backward();
    gradients_.finish();
    optimizer_->step();
    model_->commit();

    const bool last = step_ + 1 == total_steps();
    if (step_ % options_.run.print_freq == 0 || last) {
      auto figures = read_figures(processes_.averaged(output));
      figures.step = step_;
      figures.epoch = epoch;
      figures.learning_rate = rate;
      figures.teacher_momentum = momentum;
      log.write(figures);
    }
    ++step_;
  }

  void save() const {
    if (!processes_.is_first()) return;
    slotcon::save_checkpoint(last_checkpoint(options_.run),
                             {to_json(options_).dump(), step_, slotcon::module_state(*model_),
                              slotcon::optimizer_state(*optimizer_)});
  }

  void resume(const std::string& file) {
    const auto checkpoint = slotcon::load_checkpoint(file);
    require_equal_settings(settings_of(checkpoint, file), to_json(options_), file);
    slotcon::load_module_state(*model_, checkpoint.model);
    slotcon::load_optimizer_state(*optimizer_, checkpoint.optimizer);
    step_ = checkpoint.step;
    std::printf("going on from %s at step %lld of %lld\n", file.c_str(),
                static_cast<long long>(step_), static_cast<long long>(total_steps()));
  }

  Model model_;
  const PretrainOptions& options_;
  const Processes& processes_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  slotcon::GradientAverage gradients_;
  std::int64_t image_count_;
  slotcon::data::TwoViewLoader loader_;
  slotcon::LearningRateSchedule schedule_;
  std::int64_t step_ = 0;
};

/// The table of scores, where there are labels.
template <class Model>
void score(Model& model, const PretrainOptions& options) {
  const auto set = labelled_images(options);
  if (!set) return;
  const auto rows = score_table(model, options.model, *set, scoring_options(options));
  print_table(rows, set->images.size());
  write_json(path(options.run.output_dir) / "scores.json", rows);
}

/// The sheet of heat maps of the first images that the run is scored on, or else trained on.
template <class Model>
void draw(Model& model, const PretrainOptions& options, const slotcon::data::ImageSource& images) {
  constexpr std::int64_t kRows = 6;
  constexpr std::int64_t kHeatMaps = 5;
  auto shown = images_to_show(options, images, kRows);
  const auto maps = dense_maps(model, shown);
  slotcon::data::write_png(path(options.run.output_dir) / "slots.png",
                           slot_sheet(shown, maps.scores, kHeatMaps));
}

void list_files(const path& folder) {
  std::printf("\nFiles\n");
  const std::vector<std::pair<const char*, const char*>> files{
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
  score(model, options);
  draw(model, options, *images);
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
