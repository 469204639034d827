// One optimiser step of SlotCon that a run of weeks can rely on: in parts, in mixed precision, and
// without a trace where its numbers are not finite.
#pragma once

#include <slotcon/core/autocast.h>
#include <slotcon/core/collectives.h>
#include <slotcon/core/two_views.h>
#include <slotcon/loss/slotcon_loss.h>
#include <slotcon/train/grad_scaler.h>
#include <slotcon/train/gradient_average.h>
#include <slotcon/train/gradients.h>
#include <slotcon/train/kept_buffers.h>
#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace slotcon {

/// Numbers of a step.
struct TrainingStepOptions {
  /// Of the networks' products: kFloat, kBFloat16, or kHalf, which scales the loss too.
  TORCH_ARG(at::ScalarType, precision) = at::kFloat;
  TORCH_ARG(std::int64_t, parts) = 1;      ///< >= 1: equal parts in which a batch is computed.
  TORCH_ARG(double, clip_norm) = 0;        ///< >= 0: largest norm of all gradients; 0: any.
  TORCH_ARG(std::int64_t, patience) = 20;  ///< >= 1: skipped steps in a row that are an error.
};

/// What came of a step.
struct TrainingStepResult {
  bool skipped = false;      ///< the step did not count
  double gradient_norm = 0;  ///< of all gradients together, before clipping
  /// 0-d on the device, without gradient: means over the parts of what `SlotConLossOutput` has, of
  /// this process.
  torch::Tensor loss, grouping, contrast;
  std::vector<SlotDiagnostics> parts;

  SlotDiagnostics diagnostics() const { return SlotDiagnostics::joined(parts); }
};

/// What a `TrainingStep` carries from step to step.
struct TrainingStepState {
  GradScaler::State scaler;           ///< of float16; else as it began
  std::int64_t skipped = 0;           ///< steps that did not count
  std::int64_t skipped_in_a_row = 0;  ///< since the last that did
};

/// Thrown when step after step had to be skipped.
class TrainingDiverged : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Takes optimiser steps with a SlotCon model.
///
///     loss     = mean over the parts of the batch of their losses
///     gradient = that of `loss`, scaled down to norm `clip_norm` where it is larger
///     optimiser's step;  the centre moves once by the mean of all parts;  the teacher follows
///
/// The teacher moves at the end of a step, where the published code moves it before the next
/// forward pass: the same sequence, if `run` gets the teacher's momentum of the step to come.
///
/// A step whose loss or gradient is not finite, on any process, is skipped on all: parameters,
/// optimiser, centre, teacher and running statistics stay as they were, to the bit. With float16
/// the loss is scaled (`GradScaler`), so now and then a skipped step belongs to it.
///
/// Parts: each passes the networks by itself, so batch statistics and the slots that a slot is
/// contrasted with are those of a part, as if each were the batch of another process.
/// Precision: the forward pass, losses included, runs under `Autocast`; parameters, gradients,
/// norms, softmax, losses and centre stay in float32.
/// Waiting: one transfer a step tells the host whether it counts.
/// Processes: those that the model has joined when the object is made. All call run() alike, each
/// with its images of the batch; gradients are averaged over them, beside the last backward pass.
///
/// `Model` is a holder of `SlotConImpl` that is on its device in training mode, the optimiser is
/// over its parameters, and both outlive the object.
/// Throws c10::ValueError for numbers out of range.
template <class Model>
class TrainingStep {
 public:
  TrainingStep(Model model, torch::optim::Optimizer& optimizer,
               const TrainingStepOptions& options = {})
      : options_(options),
        model_(std::move(model)),
        optimizer_(optimizer),
        parameters_(parameters_of(optimizer)),
        statistics_(*model_),
        average_(parameters_, model_->loss->collectives) {
    TORCH_CHECK_VALUE(options.parts() >= 1 && options.clip_norm() >= 0 && options.patience() >= 1,
                      "TrainingStep: expected parts >= 1, clip_norm >= 0 and patience >= 1, got ",
                      options.parts(), ", ", options.clip_norm(), " and ", options.patience());
  }

  /// Takes a step with the optimiser's learning rate; the teacher then follows with this momentum.
  ///
  /// Throws c10::ValueError unless the batch splits into equal parts, c10::TypeError for a precision
  /// that `Autocast` does not know, and TrainingDiverged when `patience` steps in a row did not
  /// count; the model is then as the last good step left it.
  TrainingStepResult run(const TwoViews& views, double teacher_momentum) {
    statistics_.keep();
    auto result = accumulate(views);
    const auto gradients = gradients_of(parameters_);
    judge(result, gradient_norm(gradients));
    if (result.skipped) {
      skip(result);
    } else {
      apply(gradients, result.gradient_norm, teacher_momentum);
    }
    return result;
  }

  /// What the loss is multiplied by before the backward pass: 1 but for float16.
  double loss_scale() const { return is_scaled() ? scaler_.scale() : 1; }

  TrainingStepState state() const { return {scaler_.state(), skipped_, skipped_in_a_row_}; }

  void load_state(const TrainingStepState& state) {
    scaler_.load_state(state.scaler);
    skipped_ = state.skipped;
    skipped_in_a_row_ = state.skipped_in_a_row;
  }

 private:
  static std::vector<torch::Tensor> parameters_of(torch::optim::Optimizer& optimizer) {
    std::vector<torch::Tensor> parameters;
    for (const auto& group : optimizer.param_groups()) {
      parameters.insert(parameters.end(), group.params().begin(), group.params().end());
    }
    return parameters;
  }

  bool is_scaled() const { return options_.precision() == at::kHalf; }

  /// Forward and backward passes of all parts.
  TrainingStepResult accumulate(const TwoViews& views) {
    const auto parts = options_.parts(), images = views.images[0].size(0), size = images / parts;
    TORCH_CHECK_VALUE(size * parts == images, "TrainingStep: expected a batch of ", parts,
                      " equal parts, got one of ", images, " images");
    const auto factor = loss_scale() / static_cast<double>(parts);
    optimizer_.zero_grad();
    TrainingStepResult result;
    for (std::int64_t i = 0; i < parts; ++i) {
      const auto output = forward(slice(views, i * size, (i + 1) * size));
      if (i + 1 == parts) average_.start();
      (factor == 1 ? output.loss : output.loss * factor).backward();
      add(result, output);
    }
    average_.finish();
    for (auto* mean : {&result.loss, &result.grouping, &result.contrast}) *mean = *mean / parts;
    return result;
  }

  SlotConLossOutput forward(const TwoViews& views) {
    const Autocast scope(views.images[0].device().type(), options_.precision());
    return model_->forward(views);
  }

  static void add(TrainingStepResult& result, const SlotConLossOutput& output) {
    const auto add_to = [](torch::Tensor& sum, const torch::Tensor& term) {
      sum = sum.defined() ? sum + term.detach() : term.detach();
    };
    add_to(result.loss, output.loss);
    add_to(result.grouping, output.grouping);
    add_to(result.contrast, output.contrast);
    result.parts.push_back(output.diagnostics);
  }

  /// Fills in what the host must know; the one place that waits for the device.
  void judge(TrainingStepResult& result, const torch::Tensor& scaled_norm) const {
    const auto loss = result.loss.to(torch::kDouble);
    const auto norm = scaled_norm.to(loss.options());
    auto bad = (loss + norm).isfinite().logical_not().to(loss.options());
    if (auto* collectives = model_->loss->collectives.get()) bad = collectives->all_reduce_sum(bad);
    const auto read = at::stack({norm, bad}).cpu();
    result.gradient_norm = read[0].item<double>() / loss_scale();
    result.skipped = read[1].item<double>() > 0;
  }

  void apply(const std::vector<torch::Tensor>& gradients, double norm, double teacher_momentum) {
    const auto clip = options_.clip_norm() > 0 ? clip_factor(norm, options_.clip_norm()) : 1;
    scale_gradients(gradients, clip / loss_scale());
    optimizer_.step();
    model_->commit();
    model_->update_teacher(teacher_momentum);
    if (is_scaled()) scaler_.update(/*finite=*/true);
    skipped_in_a_row_ = 0;
  }

  void skip(const TrainingStepResult& result) {
    statistics_.restore();
    model_->discard();
    if (is_scaled()) scaler_.update(/*finite=*/false);
    ++skipped_;
    if (++skipped_in_a_row_ >= options_.patience()) throw_diverged(result);
  }

  [[noreturn]] void throw_diverged(const TrainingStepResult& result) const {
    std::ostringstream text;
    text << "TrainingStep: " << skipped_in_a_row_ << " steps in a row were skipped, the last with "
         << "a loss of " << std::abs(result.loss.item<double>())  // no "-nan"
         << " and a gradient norm of " << std::abs(result.gradient_norm)
         << ": the training has diverged. Lower the learning rate, warm up for longer or clip the "
            "gradients; with float16, take bfloat16";
    throw TrainingDiverged(text.str());
  }

  TrainingStepOptions options_;
  Model model_;
  torch::optim::Optimizer& optimizer_;
  std::vector<torch::Tensor> parameters_;
  KeptBuffers statistics_;
  GradientAverage average_;
  GradScaler scaler_;
  std::int64_t skipped_ = 0;
  std::int64_t skipped_in_a_row_ = 0;
};

}  // namespace slotcon
