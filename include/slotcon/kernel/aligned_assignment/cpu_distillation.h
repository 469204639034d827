// The distillation of a batch of images on the CPU: each is turned to rows of prototypes.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/aligned_assignment/cpu.h>
#include <slotcon/kernel/cpu/distill_position.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/turned_maps.h>
#include <slotcon/kernel/inverse_augmentation/cpu_resampling.h>
#include <torch/types.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace slotcon::kernel::cpu {

inline decltype(&portable::distill) distill_position() { return SLOTCON_SIMD_SELECT(distill); }

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
      : student_(student),
        teacher_(teacher),
        images_(student.scores.size(0)),
        sizes_(student.scores.sizes().vec()),
        height_(student.scores.size(2)),
        width_(student.scores.size(3)),
        positions_(height_ * width_),
        turner_(student.scores.size(1), positions_),
        center_(static_cast<std::size_t>(turner_.stride())),
        losses_(static_cast<std::size_t>(images_ * positions_)) {
    const auto row = center.contiguous();
    const auto prototypes = row.size(0);
    std::copy_n(row.const_data_ptr<float>(), prototypes, center_.data());
    const auto rows = static_cast<double>(images_ * positions_);
    numbers_ = {prototypes,
                cpu::round_up(prototypes, cpu::kLogitPadding),
                center_.data(),
                static_cast<float>(1 / temperatures.student),
                static_cast<float>(1 / temperatures.teacher),
                static_cast<float>(1 / (temperatures.student * rows))};
    if (with_gradient) gradient_ = student_.maps.like();
  }

  /// Computes the loss and the gradient by the student's scores (undefined where not asked for).
  LossAndGradient run() {
    cpu::over_images(images_, [&](Index begin, Index end) { run_images(begin, end); });
    double sum = 0;
    for (const float loss : losses_) sum += loss;
    const double mean = sum / static_cast<double>(losses_.size());
    return {at::full({}, mean, student_.boxes.options()),
            gradient_ ? gradient_->view(sizes_) : torch::Tensor()};
  }

 private:
  static constexpr Index kPositionsOfTask = 8;  // at least

  /// A view as it is read.
  struct Input {
    explicit Input(const View& view)
        : maps(view.scores), boxes(view.boxes.contiguous()), flipped(view.flipped.contiguous()) {}

    cpu::MapBatch maps;
    torch::Tensor boxes, flipped;
  };

  /// The maps of one view in rows, and where each position samples them.
  struct Source {
    const float* rows;
    cpu::Taps taps;
  };

  void run_images(Index begin, Index end) {
    cpu::Scratch scratch;
    float* const student_rows = scratch.take(turner_.size());
    float* const teacher_rows = scratch.take(turner_.size());
    float* const by_aligned = gradient_ ? scratch.take(turner_.size()) : nullptr;
    for (Index image = begin; image < end; ++image) {
      const auto student = turned(student_, image, student_rows);
      const auto teacher = turned(teacher_, image, teacher_rows);
      distill(image, student, teacher, by_aligned);
      if (!gradient_) continue;
      // Each pixel gathers from the samples that it was part of.
      turner_.sample_back(by_aligned, cpu::transposed(student.taps), gradient_->image(image));
    }
  }

  Source turned(const Input& view, Index image, float* rows) const {
    return {turner_.turn(view.maps.image(image), rows),
            inverse_augmentation::taps_of_image(view.boxes, view.flipped, image, height_, width_)};
  }

  /// by_aligned [N,stride], unless null: the gradient by the student's aligned maps.
  void distill(Index image, const Source& student, const Source& teacher, float* by_aligned) {
    at::parallel_for(0, positions_, kPositionsOfTask, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      float* const student_row = scratch.take(turner_.stride());
      float* const teacher_row = scratch.take(turner_.stride());
      for (Index n = begin; n < end; ++n) {
        turner_.sample(student.rows, student.taps, n, student_row);
        turner_.sample(teacher.rows, teacher.taps, n, teacher_row);
        float* const gradient = by_aligned != nullptr ? by_aligned + n * turner_.stride() : nullptr;
        losses_[static_cast<std::size_t>(image * positions_ + n)] =
            distill_position_(numbers_, student_row, teacher_row, gradient);
      }
    });
  }

  const decltype(cpu::distill_position()) distill_position_ = cpu::distill_position();
  const Input student_, teacher_;
  const Index images_;
  const std::vector<Index> sizes_;
  const Index height_, width_, positions_;
  const cpu::MapTurner turner_;
  std::vector<float> center_;  // [stride]
  std::vector<float> losses_;  // [images * positions]
  cpu::Distillation numbers_;
  std::optional<cpu::MapBatch> gradient_;
};

}  // namespace detail

SLOTCON_CPU_KERNEL LossAndGradient cpu_distill(const View& student, const View& teacher,
                                               const torch::Tensor& center,
                                               const Temperatures& temperatures,
                                               bool with_gradient) {
  return detail::CpuDistillation(student, teacher, center, temperatures, with_gradient).run();
}

}  // namespace slotcon::kernel::aligned_assignment
