// The published code's operations, one by one: what a port of it to LibTorch would run.
//
// In one process without a process group, so its gathers are left out. In half precision the
// tensors have the types that autocast would give them.
#pragma once

#include <slotcon/core/precision.h>
#include <slotcon/core/two_views.h>
#include <slotcon/loss/semantic_grouping.h>
#include <torch/types.h>

#include <array>
#include <functional>
#include <vector>

#include "benchmarks/published_roi_align.h"

namespace bench::published {

constexpr double kStudentTemperature = 0.1;
constexpr double kTeacherTemperature = 0.07;
constexpr double kContrastTemperature = 0.2;
constexpr double kCenterMomentum = 0.9;
constexpr double kGroupingWeight = 0.5;

inline torch::Tensor normalize(const torch::Tensor& x, std::int64_t dim) {
  const auto wide = x.to(slotcon::compute_type(x.scalar_type(), "normalize"));
  return wide / wide.norm(2, {dim}, /*keepdim=*/true).clamp_min(1e-12).expand_as(wide);
}

/// Prototypes are repeated for every image and normalised there.
inline slotcon::Grouping semantic_grouping(const torch::Tensor& features,
                                           const torch::Tensor& table) {
  const auto type = features.scalar_type();
  const auto every = at::arange(table.size(0), table.options().dtype(torch::kLong));
  const auto prototypes = at::embedding(table, every).unsqueeze(0).repeat({features.size(0), 1, 1});
  const auto scores = at::einsum(
      "bdhw,bkd->bkhw", {normalize(features, 1).to(type), normalize(prototypes, 2).to(type)});
  const auto assignment =
      at::softmax(scores / kTeacherTemperature, 1, slotcon::compute_type(type, "softmax")) + 1e-6;
  const auto weights = assignment / assignment.sum({2, 3}, /*keepdim=*/true);
  return {at::einsum("bdhw,bkhw->bkd", {features, weights.to(type)}), scores, {}};
}

/// RoIAlign of all maps, then image by image the mirror image where flipped.
inline torch::Tensor inverse_augment(const torch::Tensor& maps, const slotcon::ViewGeometry& view) {
  const auto height = static_cast<double>(maps.size(2)), width = static_cast<double>(maps.size(3));
  const auto sides = view.boxes.unbind(1);
  const auto boxes = at::stack(
      {sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height}, /*dim=*/1);
  const auto aligned = RoiAlign::apply(maps, boxes);
  std::vector<torch::Tensor> images;
  for (std::int64_t b = 0; b < maps.size(0); ++b) {
    const auto image = aligned.select(0, b);
    images.push_back(view.flipped[b].item<bool>() ? image.flip({-1}) : image);
  }
  return at::stack(images);
}

inline torch::Tensor as_rows(const torch::Tensor& maps) {
  return maps.permute({0, 2, 3, 1}).flatten(0, 2);
}

/// Cross entropy of aligned maps [B,K,h,w], centre [1,K].
inline torch::Tensor assignment_cross_entropy(const torch::Tensor& student,
                                              const torch::Tensor& teacher,
                                              const torch::Tensor& center) {
  const auto log_assignment = at::log_softmax(as_rows(student) / kStudentTemperature, 1);
  const auto targets = at::softmax((as_rows(teacher) - center) / kTeacherTemperature, 1);
  return at::sum(-targets * log_assignment, 1).mean();
}

/// [B,K]: 1 where the slot wins a position.
inline torch::Tensor present(const torch::Tensor& scores) {
  const auto winner = scores.detach().argmax(1, /*keepdim=*/true);
  return at::zeros_like(scores).scatter_(1, winner, 1).sum({2, 3}).gt(0).to(torch::kLong);
}

using Predictor = std::function<torch::Tensor(const torch::Tensor&)>;

inline torch::Tensor unchanged(const torch::Tensor& rows) { return rows; }

/// Slots [B,K,D] and presence [B,K] (0 or 1) of both views.
inline torch::Tensor slot_info_nce(const torch::Tensor& anchors, const torch::Tensor& keys,
                                   const torch::Tensor& anchor_present,
                                   const torch::Tensor& key_present,
                                   const Predictor& predictor = unchanged) {
  const auto key_mask = key_present.flatten();
  const auto pairs = (anchor_present * key_present).flatten().nonzero().squeeze(-1);
  const auto queries = normalize(predictor(anchors.flatten(0, 1).index({pairs})), 1);
  const auto unit_keys = normalize(keys.detach().flatten(0, 1), 1);
  const auto kept = unit_keys.index({key_mask.nonzero().squeeze(-1)});
  const auto logits = at::einsum("nc,mc->nm", {queries, kept}) / kContrastTemperature;
  const auto labels = key_mask.cumsum(0).index({pairs}) - 1;
  return at::cross_entropy_loss(logits, labels) * (2 * kContrastTemperature);
}

template <class Compute>
auto without_gradient(const Compute& compute) {
  const at::NoGradGuard no_grad;
  return compute();
}

/// What the whole objective keeps from step to step.
struct Objective {
  torch::Tensor prototypes;          ///< [K,D], the student's
  torch::Tensor teacher_prototypes;  ///< [K,D]
  torch::Tensor center;              ///< [1,K]
  Predictor predictor = unchanged;

  using Features = std::array<torch::Tensor, 2>;  ///< [B,D,h,w] of both views

  torch::Tensor loss(const Features& student, const Features& teacher,
                     const std::array<slotcon::ViewGeometry, 2>& geometry) {
    const std::array q{semantic_grouping(student[0], prototypes),
                       semantic_grouping(student[1], prototypes)};
    const auto k = without_gradient([&] {
      return std::array{semantic_grouping(teacher[0], teacher_prototypes),
                        semantic_grouping(teacher[1], teacher_prototypes)};
    });
    const auto grouping = distill(q, k, geometry);
    without_gradient([&] { return update_center(k); });
    const auto contrast = contrast_views(q[0], k[1]) + contrast_views(q[1], k[0]);
    return kGroupingWeight * grouping + (1 - kGroupingWeight) * contrast;
  }

 private:
  using Groupings = std::array<slotcon::Grouping, 2>;

  torch::Tensor distill(const Groupings& q, const Groupings& k,
                        const std::array<slotcon::ViewGeometry, 2>& geometry) const {
    const std::array student{inverse_augment(q[0].scores, geometry[0]),
                             inverse_augment(q[1].scores, geometry[1])};
    const auto teacher = without_gradient([&] {
      return std::array{inverse_augment(k[0].scores, geometry[0]),
                        inverse_augment(k[1].scores, geometry[1])};
    });
    return assignment_cross_entropy(student[0], teacher[1], center) +
           assignment_cross_entropy(student[1], teacher[0], center);
  }

  torch::Tensor update_center(const Groupings& k) {
    const auto rows = at::cat({as_rows(k[0].scores), as_rows(k[1].scores)});
    const auto mean = rows.sum(0, /*keepdim=*/true) / rows.size(0);
    center = center * kCenterMomentum + mean * (1 - kCenterMomentum);
    return center;
  }

  torch::Tensor contrast_views(const slotcon::Grouping& anchors,
                               const slotcon::Grouping& keys) const {
    return slot_info_nce(anchors.slots, keys.slots, present(anchors.scores), present(keys.scores),
                         predictor);
  }
};

}  // namespace bench::published
