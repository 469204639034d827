// A linear probe on dense features: supervised, unlike every other row of a score table.
#pragma once

#include <slotcon/eval/label_shares.h>
#include <slotcon/eval/linear_probe.h>
#include <slotcon/eval/sample.h>
#include <slotcon/eval/segmentation_score.h>

#include <cstdint>
#include <vector>

#include "support/evaluation.h"
#include "support/labelled_set.h"

namespace examples {

constexpr std::int64_t kMaxProbedPositions = 50000;

/// The labels with `kUnscored` in the place of the label that is not scored.
inline slotcon::data::LabelMap scored_labels(slotcon::data::LabelMap map,
                                             std::int64_t ignore_label) {
  for (auto& label : map.labels) {
    if (label == ignore_label) label = slotcon::data::kUnscored;
  }
  return map;
}

/// Fits a linear probe to the teacher's backbone features of `train`, with the shares of the
/// classes below each position as targets, and scores it on `test`; logits are upsampled
/// bilinearly.
template <class Model>
slotcon::eval::SegmentationScore linear_segmentation(Model& model, const LabelledSet& train,
                                                     const LabelledSet& test, std::uint64_t seed) {
  const auto classes = test.classes;
  const auto maps = dense_maps(model, train.images.images).features;
  std::vector<std::int64_t> sizes;
  for (const auto& map : maps) sizes.push_back(map.size(1) * map.size(2));
  const auto positions = slotcon::eval::sample_positions(sizes, kMaxProbedPositions, seed);
  std::vector<torch::Tensor> features, targets;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const auto picked = torch::tensor(positions[i], torch::kLong);
    const auto labels = scored_labels(train.images.labels[i], train.ignore_label);
    const auto shares =
        slotcon::eval::label_shares(labels, classes, maps[i].size(1), maps[i].size(2));
    features.push_back(maps[i].flatten(1).index_select(1, picked).t());
    targets.push_back(shares.flatten(1).index_select(1, picked).t());
  }
  const auto probe = slotcon::eval::fit_linear_probe(torch::cat(features), torch::cat(targets));

  const auto test_maps = dense_maps(model, test.images.images).features;
  return slotcon::eval::labelled_score(
      confusion_of(classes, classes, test.images.labels, test.ignore_label,
                   [&](std::size_t i) { return probe.logits(test_maps[i].unsqueeze(0))[0]; }));
}

}  // namespace examples
