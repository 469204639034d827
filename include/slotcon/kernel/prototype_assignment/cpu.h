// The cross entropy between given targets and the student's assignment on the CPU, with its
// gradient, in one pass over tiles of positions.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/cross_entropy.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/cpu/transpose.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace slotcon::kernel::cpu {

/// The parts of a cross entropy, compiled for one instruction set.
struct CrossEntropyCode {
  decltype(&portable::transpose_matrix) transpose = SLOTCON_SIMD_SELECT(transpose_matrix);
  decltype(&portable::make_logits) make_logits = SLOTCON_SIMD_SELECT(make_logits);
  decltype(&portable::cross_entropy) cross_entropy = SLOTCON_SIMD_SELECT(cross_entropy);
};

}  // namespace slotcon::kernel::cpu

namespace slotcon::kernel::prototype_assignment {

namespace detail {

using cpu::Index;

/// The cross entropy of a batch, position by position: each independent of the others. A tile of
/// positions at a time is turned from [K,N] to rows of prototypes in scratch memory, and its
/// gradient is turned back.
class CpuCrossEntropy {
 public:
  CpuCrossEntropy(const torch::Tensor& student, const torch::Tensor& targets, double temperature,
                  bool with_gradient)
      : student_(student.contiguous()),
        targets_(targets.contiguous()),
        images_(student.size(0)),
        prototypes_(student.size(1)),
        positions_(student.numel() / (images_ * prototypes_)),
        stride_(cpu::round_up(prototypes_, cpu::kLogitPadding)),
        scale_(static_cast<float>(1 / temperature)),
        gradient_scale_(
            static_cast<float>(1 / (temperature * static_cast<double>(images_ * positions_)))),
        losses_(static_cast<std::size_t>(images_ * positions_)) {
    if (with_gradient) gradient_ = at::empty(student.sizes(), student.options());
  }

  /// Computes the loss and the gradient by the student's scores (undefined where not asked for).
  LossAndGradient run() {
    const Index tiles = at::divup(positions_, kTile);  // of an image
    at::parallel_for(0, images_ * tiles, 1, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      float* const student = scratch.take(kTile * stride_);
      float* const targets = scratch.take(kTile * stride_);
      for (Index i = begin; i < end; ++i) run_tile(i / tiles, i % tiles * kTile, student, targets);
    });
    const double sum = std::accumulate(losses_.begin(), losses_.end(), 0.0);
    return {at::full({}, sum / static_cast<double>(losses_.size()), student_.options()), gradient_};
  }

 private:
  static constexpr Index kTile = 32;  // positions at most

  void run_tile(Index image, Index first, float* student, float* targets) {
    const Index count = std::min(kTile, positions_ - first);
    const Index start = image * prototypes_ * positions_ + first;
    turn(student_, start, count, student);
    turn(targets_, start, count, targets);
    for (Index n = 0; n < count; ++n) {
      float* const row = student + n * stride_;
      float* const target = targets + n * stride_;
      std::fill(target + prototypes_, target + stride_, 0.0f);
      code_.make_logits(row, prototypes_, stride_, scale_);
      losses_[static_cast<std::size_t>(image * positions_ + first + n)] = code_.cross_entropy(
          target, stride_, gradient_scale_, row, gradient_.defined() ? row : nullptr);
    }
    if (!gradient_.defined()) return;
    code_.transpose(student, stride_, count, prototypes_,
                    gradient_.mutable_data_ptr<float>() + start, positions_);
  }

  void turn(const torch::Tensor& maps, Index start, Index count, float* rows) const {
    code_.transpose(maps.const_data_ptr<float>() + start, positions_, prototypes_, count, rows,
                    stride_);
  }

  const cpu::CrossEntropyCode code_;
  const torch::Tensor student_, targets_;  // [B,K,N]
  const Index images_, prototypes_, positions_, stride_;
  const float scale_, gradient_scale_;
  std::vector<float> losses_;  // [B N]
  torch::Tensor gradient_;     // of the student's shape, or undefined
};

}  // namespace detail

/// As `reference`, of float32 on the CPU; equal on any number of threads, differentiable once, by
/// the student's scores.
inline torch::Tensor fused(const torch::Tensor& student_scores, const torch::Tensor& targets,
                           double temperature, const char* who) {
  return loss_with_gradient(student_scores, who, [&](bool with_gradient) {
    return detail::CpuCrossEntropy(student_scores, targets, temperature, with_gradient).run();
  });
}

}  // namespace slotcon::kernel::prototype_assignment
