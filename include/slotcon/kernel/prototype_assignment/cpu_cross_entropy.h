// The cross entropy of a batch on the CPU, tile by tile of positions.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/cross_entropy.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/turned_maps.h>
#include <slotcon/kernel/prototype_assignment/cpu.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace slotcon::kernel::cpu {

/// The parts of a cross entropy, compiled for one instruction set.
struct CrossEntropyCode {
  decltype(&portable::make_logits) make_logits = SLOTCON_SIMD_SELECT(make_logits);
  decltype(&portable::cross_entropy) cross_entropy = SLOTCON_SIMD_SELECT(cross_entropy);
};

}  // namespace slotcon::kernel::cpu

namespace slotcon::kernel::prototype_assignment {

namespace detail {

using cpu::Index;

/// The cross entropy of a batch, position by position: each independent of the others. A tile of
/// positions at a time becomes rows of prototypes in scratch memory, and its gradient goes back.
class CpuCrossEntropy {
 public:
  CpuCrossEntropy(const torch::Tensor& student, const torch::Tensor& targets, double temperature,
                  bool with_gradient)
      : student_(student),
        targets_(targets),
        sizes_(student.sizes().vec()),
        images_(student.size(0)),
        prototypes_(student.size(1)),
        positions_(student_.positions()),
        turner_(prototypes_, positions_),
        scale_(static_cast<float>(1 / temperature)),
        gradient_scale_(
            static_cast<float>(1 / (temperature * static_cast<double>(images_ * positions_)))),
        losses_(static_cast<std::size_t>(images_ * positions_)) {
    if (with_gradient) gradient_ = student_.like();
  }

  /// Computes the loss and the gradient by the student's scores (undefined where not asked for).
  LossAndGradient run() {
    const Index tiles = at::divup(positions_, kTile);  // of an image
    at::parallel_for(0, images_ * tiles, 1, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      float* const student = scratch.take(kTile * turner_.stride());
      float* const targets = scratch.take(kTile * turner_.stride());
      for (Index i = begin; i < end; ++i) run_tile(i / tiles, i % tiles * kTile, student, targets);
    });
    const double sum = std::accumulate(losses_.begin(), losses_.end(), 0.0);
    return {at::full({}, sum / static_cast<double>(losses_.size()), torch::kFloat),
            gradient_ ? gradient_->view(sizes_) : torch::Tensor()};
  }

 private:
  static constexpr Index kTile = 32;  // positions at most

  void run_tile(Index image, Index first, float* student, float* targets) {
    const Index count = std::min(kTile, positions_ - first);
    const Index width = cpu::round_up(prototypes_, cpu::kLogitPadding);
    turner_.turn_positions(student_.image(image), first, count, student);
    turner_.turn_positions(targets_.image(image), first, count, targets);
    for (Index n = 0; n < count; ++n) {
      float* const row = student + n * turner_.stride();
      float* const target = targets + n * turner_.stride();
      std::fill(target + prototypes_, target + width, 0.0f);
      code_.make_logits(row, prototypes_, width, scale_);
      losses_[static_cast<std::size_t>(image * positions_ + first + n)] =
          code_.cross_entropy(target, width, gradient_scale_, row, gradient_ ? row : nullptr);
    }
    if (gradient_) turner_.turn_back(student, first, count, gradient_->image(image));
  }

  const cpu::CrossEntropyCode code_;
  const cpu::MapBatch student_, targets_;
  const std::vector<Index> sizes_;
  const Index images_, prototypes_, positions_;
  const cpu::MapTurner turner_;
  const float scale_, gradient_scale_;
  std::vector<float> losses_;  // [B N]
  std::optional<cpu::MapBatch> gradient_;
};

}  // namespace detail

SLOTCON_CPU_KERNEL LossAndGradient cpu_cross_entropy(const torch::Tensor& student_scores,
                                                     const torch::Tensor& targets,
                                                     double temperature, bool with_gradient) {
  return detail::CpuCrossEntropy(student_scores, targets, temperature, with_gradient).run();
}

}  // namespace slotcon::kernel::prototype_assignment
