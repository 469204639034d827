// What to watch while prototypes form: numbers that tell a healthy run from a collapsing one.
#pragma once

#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace slotcon {

/// Figures of one step, of this process' images and both views. Each is computed when it is asked
/// for, as a 0-d tensor on the device: a step that reads none pays nothing, and nothing waits until
/// `.item()`.
class SlotDiagnostics {
 public:
  /// What the step has at hand, detached: the teacher's scores [B,K,h,w] and the boxes [B,4] of
  /// both views, the teacher's assignment, and the centre's norm (0-d; undefined without a centre).
  struct Observed {
    std::array<torch::Tensor, 2> scores, boxes;
    Assigner assigner;
    torch::Tensor center_norm;
  };

  SlotDiagnostics() = default;
  explicit SlotDiagnostics(Observed observed) : observed_(std::move(observed)) {}

  /// The figures of several batches as of one, for an optimiser step that was taken in parts with
  /// one centre. `parts` has at least one.
  static SlotDiagnostics joined(const std::vector<SlotDiagnostics>& parts) {
    if (parts.size() == 1) return parts.front();
    auto all = parts.front().observed_;
    for (std::size_t v = 0; v < 2; ++v) {
      std::vector<torch::Tensor> scores, boxes;
      for (const auto& part : parts) {
        scores.push_back(part.observed_.scores[v]);
        boxes.push_back(part.observed_.boxes[v]);
      }
      all.scores[v] = at::cat(scores);
      all.boxes[v] = at::cat(boxes);
    }
    return SlotDiagnostics(std::move(all));
  }

  /// Number of positions that the figures are over, those of both views.
  std::int64_t positions() const {
    const auto prototypes = observed_.scores[0].size(1);
    return (observed_.scores[0].numel() + observed_.scores[1].numel()) / prototypes;
  }

  /// Mean number of slots that win at least one position of an image. Near 1: one slot takes
  /// everything.
  torch::Tensor active_slots() const {
    return mean_over_views(
        [this](std::size_t v) { return present(v).to(torch::kFloat).sum(1).mean(); });
  }

  /// Mean entropy of the teacher's assignment of a position, in nats: 0 .. ln K. At ln K the
  /// teacher prefers nothing and the loss stands still; at 0 it is one-hot.
  torch::Tensor teacher_entropy() const {
    return mean_over_views([this](std::size_t v) { return entropy(assigned(v), 1).mean(); });
  }

  /// ln K minus `teacher_entropy()`: 0 is the signature of collapse to the uniform assignment.
  torch::Tensor entropy_gap() const {
    return std::log(static_cast<double>(observed_.scores[0].size(1))) - teacher_entropy();
  }

  /// exp of the entropy of the mean assignment: how many prototypes share the positions, 1 .. K.
  torch::Tensor prototype_perplexity() const {
    const auto share = mean_over_views(
        [this](std::size_t v) { return assigned(v).transpose(0, 1).flatten(1).mean(1); });
    return entropy(share, 0).exp();
  }

  /// Number of prototypes that win no position of any image in the batch.
  torch::Tensor dead_prototypes() const {
    const auto used = (present(0) | present(1)).any(0);
    return used.logical_not().sum().to(torch::kFloat);
  }

  /// Euclidean norm of the centre; undefined tensor where the teacher is not centred.
  torch::Tensor center_norm() const { return observed_.center_norm; }

  /// Share of image pairs whose views show nothing in common: they teach no grouping.
  torch::Tensor disjoint_share() const {
    return mean_over_views([this](std::size_t v) {
      const auto box = observed_.boxes[v].unbind(1);
      return ((box[2] <= box[0]) | (box[3] <= box[1])).to(torch::kFloat).mean();
    });
  }

 private:
  template <class OfView>
  static torch::Tensor mean_over_views(const OfView& of_view) {
    const at::NoGradGuard no_grad;
    return (of_view(0) + of_view(1)) / 2;
  }

  static torch::Tensor entropy(const torch::Tensor& probabilities, std::int64_t dim) {
    return -at::xlogy(probabilities, probabilities).sum(dim);
  }

  torch::Tensor present(std::size_t view) const {
    return functional::present_slots(observed_.scores[view]);
  }

  torch::Tensor assigned(std::size_t view) const {
    return observed_.assigner(observed_.scores[view]);
  }

  Observed observed_;
};

}  // namespace slotcon
