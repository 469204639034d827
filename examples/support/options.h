// The settings of a training run: the published flags under the published names, and a few of our
// own.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace examples {

/// What the network is; kept in a checkpoint, so that every program can build it again.
struct ModelOptions {
  std::string arch = "resnet50";
  bool zero_init_residual = true;
  std::int64_t dim_hidden = 4096;
  std::int64_t dim_out = 256;
  std::int64_t num_prototypes = 256;
  std::string assignment = "centering";
  double student_temp = 0.1;
  double teacher_temp = 0.07;
  double center_momentum = 0.9;
  double group_loss_weight = 0.5;
  std::uint64_t seed = 0;
};

/// What the network is trained on and how.
struct TrainingOptions {
  std::string data = "scenes";
  std::int64_t scenes = 2000;
  std::int64_t image_size = 224;
  double min_scale = 0.08;
  double blur_max = 2.0;
  std::int64_t batch_size = 512;
  std::int64_t epochs = 800;
  std::string optimizer = "lars";
  double base_lr = 1.0;
  std::int64_t warmup_epoch = 5;
  double warmup_multiplier = 100;
  double weight_decay = 1e-5;
  double momentum = 0.9;
  double teacher_momentum = 0.99;
  std::string precision = "fp32";
  std::int64_t accumulate = 1;
  double clip_norm = 0;
};

/// How the run is carried out; may change between a run and its continuation.
struct RunOptions {
  std::string output_dir = "output";
  std::string resume;
  bool auto_resume = false;
  std::int64_t print_freq = 10;
  std::int64_t save_freq = 50;
  double save_minutes = 10;
  std::int64_t keep = 0;
  std::int64_t num_workers = 2;
  std::int64_t threads = 0;
  std::int64_t nproc = 1;
  double timeout = 600;
  std::int64_t cache_mb = 2048;
  std::string eval_images;
  std::string eval_labels;
  std::int64_t eval_classes = 0;
  std::int64_t ignore_label = 255;
};

struct PretrainOptions {
  ModelOptions model;
  TrainingOptions training;
  RunOptions run;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ModelOptions, arch, zero_init_residual, dim_hidden, dim_out,
                                   num_prototypes, assignment, student_temp, teacher_temp,
                                   center_momentum, group_loss_weight, seed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainingOptions, data, scenes, image_size, min_scale, blur_max,
                                   batch_size, epochs, optimizer, base_lr, warmup_epoch,
                                   warmup_multiplier, weight_decay, momentum, teacher_momentum,
                                   precision, accumulate, clip_norm)

/// What a checkpoint keeps of the settings.
inline nlohmann::json to_json(const PretrainOptions& options) {
  return {{"model", options.model}, {"training", options.training}};
}

inline void add_model_flags(CLI::App& app, ModelOptions& o) {
  app.option_defaults()->group("Model");
  app.add_option("--arch", o.arch,
                 "resnet18, resnet34, resnet50, resnet101, or tiny for small images")
      ->check(CLI::IsMember({"resnet18", "resnet34", "resnet50", "resnet101", "tiny"}));
  app.add_option("--zero-init-residual", o.zero_init_residual,
                 "start each residual block as identity");
  app.add_option("--dim-hidden", o.dim_hidden, "hidden width of projector and predictor")
      ->check(CLI::PositiveNumber);
  app.add_option("--dim-out", o.dim_out, "channels of the projected features")
      ->check(CLI::PositiveNumber);
  app.add_option("--num-prototypes", o.num_prototypes, "prototypes, and slots of an image")
      ->check(CLI::PositiveNumber);
  app.add_option("--assignment", o.assignment, "the teacher's targets: centering or sinkhorn")
      ->check(CLI::IsMember({"centering", "sinkhorn"}));
  app.add_option("--student-temp", o.student_temp, "temperature of the student's assignment")
      ->check(CLI::PositiveNumber);
  app.add_option("--teacher-temp", o.teacher_temp,
                 "temperature of the teacher's, and of the grouping")
      ->check(CLI::PositiveNumber);
  app.add_option("--center-momentum", o.center_momentum, "what stays of the centre at a step")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--group-loss-weight", o.group_loss_weight,
                 "weight of grouping; contrast has the rest")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", o.seed, "of the weights, the order and the augmentations");
}

inline void add_training_flags(CLI::App& app, TrainingOptions& o) {
  app.option_defaults()->group("Data and training");
  app.add_option("--data,--data-dir", o.data,
                 "'scenes', a folder of images, or a .txt list of them");
  app.add_option("--scenes", o.scenes, "number of procedural scenes")->check(CLI::PositiveNumber);
  app.add_option("--image-size", o.image_size, "side of a view in pixels")
      ->check(CLI::PositiveNumber);
  app.add_option("--min-scale", o.min_scale, "smallest share of the image's area that a view shows")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--blur-max", o.blur_max,
                 "largest deviation of the Gaussian blur in pixels, >= 0.1")
      ->check(CLI::Range(0.1, 100.0));
  app.add_option("--batch-size", o.batch_size, "images of an optimiser step, over all processes")
      ->check(CLI::PositiveNumber);
  app.add_option("--epochs", o.epochs, "passes over the images")->check(CLI::PositiveNumber);
  app.add_option("--optimizer", o.optimizer, "lars, sgd or adamw")
      ->check(CLI::IsMember({"lars", "sgd", "adamw"}));
  app.add_option("--base-lr", o.base_lr, "learning rate for 256 images; scaled by the batch")
      ->check(CLI::PositiveNumber);
  app.add_option("--warmup-epoch", o.warmup_epoch, "epochs of linear warm-up")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--warmup-multiplier", o.warmup_multiplier,
                 "warm-up starts at the rate over this, > 1");
  app.add_option("--weight-decay", o.weight_decay)->check(CLI::NonNegativeNumber);
  app.add_option("--momentum", o.momentum, "of LARS and SGD")->check(CLI::Range(0.0, 1.0));
  app.add_option("--teacher-momentum", o.teacher_momentum, "at the first step; rises to 1")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--precision", o.precision, "of the networks' products: fp32, bf16 or fp16")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}));
  app.add_option("--accumulate", o.accumulate,
                 "parts of a batch that are computed one after the other, to save memory")
      ->check(CLI::PositiveNumber);
  app.add_option("--clip-norm", o.clip_norm, "largest norm of all gradients together; 0: any")
      ->check(CLI::NonNegativeNumber);
}

inline void add_run_flags(CLI::App& app, RunOptions& o) {
  app.option_defaults()->group("Run");
  app.add_option("--output-dir", o.output_dir, "where checkpoints, log and pictures go");
  app.add_option("--resume", o.resume, "checkpoint to go on from")->check(CLI::ExistingFile);
  app.add_flag("--auto-resume", o.auto_resume,
               "go on from the output folder's last checkpoint, if any");
  app.add_option("--print-freq", o.print_freq, "steps between lines of the log")
      ->check(CLI::PositiveNumber);
  app.add_option("--save-freq", o.save_freq, "epochs between checkpoints")
      ->check(CLI::PositiveNumber);
  app.add_option("--save-minutes", o.save_minutes,
                 "minutes after which one is written within an epoch; 0: none")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--keep", o.keep, "last checkpoints of --save-freq to keep beside current.ckpt")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--num-workers", o.num_workers, "threads that load images")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", o.threads, "threads that compute; 0: all cores")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--nproc", o.nproc, "processes on this machine that share the batches")
      ->check(CLI::PositiveNumber);
  app.add_option("--timeout", o.timeout, "seconds that a process waits for another before it ends")
      ->check(CLI::PositiveNumber);
  app.add_option("--cache-mb", o.cache_mb, "memory for decoded images")
      ->check(CLI::NonNegativeNumber);
  app.option_defaults()->group("Score at the end");
  app.add_option("--eval-images", o.eval_images, "folder of images to score on");
  app.add_option("--eval-labels", o.eval_labels, "folder of their label maps (PNG), same names");
  app.add_option("--eval-classes", o.eval_classes, "number of classes in the label maps");
  app.add_option("--ignore-label", o.ignore_label, "label that is not scored");
}

/// The command line of `pretrain`. `--recipe FILE` reads flags from a file; the command line wins.
inline void add_pretrain_flags(CLI::App& app, PretrainOptions& options) {
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--recipe", "", "file of flags, one 'name = value' a line; the command line wins");
  add_model_flags(app, options.model);
  add_training_flags(app, options.training);
  add_run_flags(app, options.run);
}

}  // namespace examples
