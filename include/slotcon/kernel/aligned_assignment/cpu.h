// The assignment distillation between aligned views on the CPU, in one pass over each image.
//
// Score maps come as [K,N] with the N positions side by side, but a position mixes whole columns of
// them: a few taps, then sums over all K prototypes. So each image is turned to [N,K] in scratch
// memory, where every loop runs along K, and its gradient is turned back.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/cpu/distill_position.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/transpose.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::kernel::cpu {

/// The parts of a distillation, compiled for one instruction set.
struct DistillationCode {
  decltype(&portable::transpose_matrix) transpose = SLOTCON_SIMD_SELECT(transpose_matrix);
  decltype(&portable::sample_row) sample = SLOTCON_SIMD_SELECT(sample_row);
  decltype(&portable::distill) distill = SLOTCON_SIMD_SELECT(distill);
};

}  // namespace slotcon::kernel::cpu

namespace slotcon::kernel::aligned_assignment {

namespace detail {

using cpu::Index;

/// The distillation of a batch. Each image is independent of the others, and each stage of an image
/// can be shared between threads without a change of the result.
class CpuDistillation {
 public:
  CpuDistillation(const View& student, const View& teacher, const torch::Tensor& center,
                  const Temperatures& temperatures, bool with_gradient)
      : student_(contiguous(student)),
        teacher_(contiguous(teacher)),
        images_(student.scores.size(0)),
        prototypes_(student.scores.size(1)),
        height_(student.scores.size(2)),
        width_(student.scores.size(3)),
        positions_(height_ * width_),
        stride_(cpu::round_up(prototypes_, cpu::kDistillPadding)),
        center_(static_cast<std::size_t>(stride_)),
        losses_(static_cast<std::size_t>(images_ * positions_)) {
    const auto row = center.contiguous();
    std::copy_n(row.const_data_ptr<float>(), prototypes_, center_.data());
    const auto rows = static_cast<double>(images_ * positions_);
    numbers_ = {prototypes_,
                stride_,
                center_.data(),
                static_cast<float>(1 / temperatures.student),
                static_cast<float>(1 / temperatures.teacher),
                static_cast<float>(1 / (temperatures.student * rows))};
    if (with_gradient) gradient_ = at::empty_like(student_.scores);
  }

  /// Computes the loss and the gradient by the student's scores (undefined where not asked for).
  std::pair<torch::Tensor, torch::Tensor> run() {
    if (images_ >= at::get_num_threads()) {
      at::parallel_for(0, images_, 1, [&](Index begin, Index end) { run_images(begin, end); });
    } else {
      run_images(0, images_);
    }
    double sum = 0;
    for (const float loss : losses_) sum += loss;
    const double mean = sum / static_cast<double>(losses_.size());
    return {at::full({}, mean, student_.scores.options()), gradient_};
  }

 private:
  static constexpr Index kPositionsOfTask = 8;  // at least
  static constexpr Index kPixelsOfTile = 32;    // at most, that are turned back together

  static View contiguous(const View& view) {
    return {view.scores.contiguous(), view.boxes.contiguous(), view.flipped.contiguous()};
  }

  void run_images(Index begin, Index end) {
    cpu::Scratch scratch;
    float* const student = scratch.take(positions_ * stride_);
    float* const teacher = scratch.take(positions_ * stride_);
    float* const by_aligned = gradient_.defined() ? scratch.take(positions_ * stride_) : nullptr;
    for (Index image = begin; image < end; ++image) {
      const auto student_taps = taps(student_, image);
      const auto teacher_taps = taps(teacher_, image);
      turn(student_.scores, image, student);
      turn(teacher_.scores, image, teacher);
      distill(image, {student, student_taps}, {teacher, teacher_taps}, by_aligned);
      if (gradient_.defined()) turn_back(by_aligned, cpu::transposed(student_taps), image);
    }
  }

  cpu::Taps taps(const View& view, Index image) const {
    const float* box = view.boxes.const_data_ptr<float>() + 4 * image;
    const bool flipped = view.flipped.const_data_ptr<bool>()[image];
    return cpu::sampling_taps({box[0], box[1], box[2], box[3], flipped}, height_, width_);
  }

  /// turned [N,stride] = the image's maps [K,N].
  void turn(const torch::Tensor& maps, Index image, float* turned) const {
    const float* from = maps.const_data_ptr<float>() + image * prototypes_ * positions_;
    at::parallel_for(0, prototypes_, cpu::kDistillPadding, [&](Index begin, Index end) {
      code_.transpose(from + begin * positions_, positions_, end - begin, positions_,
                      turned + begin, stride_);
    });
  }

  /// The maps of one view, turned, and where each position samples them.
  struct Source {
    const float* maps;
    const cpu::Taps& taps;
  };

  void distill(Index image, const Source& student, const Source& teacher, float* by_aligned) {
    at::parallel_for(0, positions_, kPositionsOfTask, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      float* const student_row = scratch.take(stride_);
      float* const teacher_row = scratch.take(stride_);
      const auto sample = [&](const Source& source, Index position, float* row) {
        code_.sample(source.maps, stride_, source.taps.begin(position), source.taps.end(position),
                     row);
      };
      for (Index n = begin; n < end; ++n) {
        sample(student, n, student_row);
        sample(teacher, n, teacher_row);
        float* const gradient = by_aligned != nullptr ? by_aligned + n * stride_ : nullptr;
        losses_[static_cast<std::size_t>(image * positions_ + n)] =
            code_.distill(numbers_, student_row, teacher_row, gradient);
      }
    });
  }

  /// The gradient by the image's maps [K,N] from that by the aligned ones [N,stride]: each pixel
  /// gathers from the samples that it was part of.
  void turn_back(float* by_aligned, const cpu::Taps& samples, Index image) {
    float* const to = gradient_.mutable_data_ptr<float>() + image * prototypes_ * positions_;
    at::parallel_for(0, positions_, kPixelsOfTile, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      float* const tile = scratch.take(kPixelsOfTile * stride_);
      const Index tiles = at::divup(end - begin, kPixelsOfTile);
      for (Index i = 0; i < tiles; ++i) {
        const Index first = begin + (end - begin) * i / tiles;
        const Index pixels = begin + (end - begin) * (i + 1) / tiles - first;
        for (Index n = 0; n < pixels; ++n) {
          code_.sample(by_aligned, stride_, samples.begin(first + n), samples.end(first + n),
                       tile + n * stride_);
        }
        code_.transpose(tile, stride_, pixels, prototypes_, to + first, positions_);
      }
    });
  }

  const cpu::DistillationCode code_;
  const View student_, teacher_;
  const Index images_, prototypes_, height_, width_, positions_, stride_;
  std::vector<float> center_;  // [stride]
  std::vector<float> losses_;  // [images * positions]
  cpu::Distillation numbers_;
  torch::Tensor gradient_;  // [B,K,H,W], or undefined
};

/// The loss as a node of the graph. The gradient by the student's scores comes out of the same pass
/// as the loss; the backward pass only scales it.
class FusedDistillation : public torch::autograd::Function<FusedDistillation> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& student_scores, const View& student,
                               const View& teacher, const torch::Tensor& center,
                               const Temperatures& temperatures, bool with_gradient,
                               const std::string& who) {
    const auto [loss, gradient] =
        CpuDistillation(student, teacher, center, temperatures, with_gradient).run();
    if (with_gradient) context->save_for_backward({gradient, student_scores});
    context->saved_data["who"] = who;
    return loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    return once_differentiable(
        context->saved_data["who"].toStringRef(), {saved[1], by_loss[0]}, [&] {
          return torch::autograd::variable_list{saved[0] * by_loss[0], {}, {}, {}, {}, {}, {}};
        });
  }
};

}  // namespace detail

/// As `reference`, of float32 on the CPU; equal on any number of threads, differentiable once.
inline torch::Tensor fused(const View& student, const View& teacher, const torch::Tensor& center,
                           const Temperatures& temperatures, const char* who) {
  const bool with_gradient = at::GradMode::is_enabled() && student.scores.requires_grad();
  return detail::FusedDistillation::apply(student.scores, student, teacher, center, temperatures,
                                          with_gradient, std::string(who));
}

}  // namespace slotcon::kernel::aligned_assignment
