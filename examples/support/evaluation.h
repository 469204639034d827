// Scores a model's segmentation beside every baseline.
#pragma once

#include <slotcon/data/image_tensor.h>
#include <slotcon/data/labelled_images.h>
#include <slotcon/eval/cluster_baselines.h>
#include <slotcon/eval/confusion.h>
#include <slotcon/eval/dense_clusters.h>
#include <slotcon/eval/segmentation_score.h>
#include <slotcon/eval/upsample_argmax.h>
#include <torch/types.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/model.h"

namespace examples {

/// What a set is scored against.
struct ScoringOptions {
  std::int64_t classes;
  std::int64_t ignore_label;
  std::uint64_t seed = 0;  ///< the first one
  std::int64_t seeds = 1;  ///< >= 1: of each row that draws random numbers
  slotcon::eval::Matching matching = slotcon::eval::Matching::kIou;
};

/// A line of the table. With several seeds the scores are means over them, but for the classes of
/// clusters, which are the first seed's.
struct ScoreRow {
  std::string method;
  std::int64_t clusters;
  slotcon::eval::SegmentationScore one_to_one, majority;
  std::int64_t seeds = 1;
  double one_to_one_deviation = 0, majority_deviation = 0;  ///< of the mean IoU, of a sample
};

/// One image as a batch for a network, [1,3,H,W] channels last.
inline torch::Tensor network_input(const slotcon::data::Image& image) {
  return slotcon::data::normalized_tensor(image).unsqueeze(0).contiguous(
      torch::MemoryFormat::ChannelsLast);
}

/// The teacher's maps of a set of images: backbone features [C,h,w] and slot scores [K,h,w] of
/// each.
struct DenseMaps {
  std::vector<torch::Tensor> features, scores;
};

template <class Model>
DenseMaps dense_maps(Model& model, const std::vector<slotcon::data::Image>& images) {
  model->eval();
  DenseMaps maps;
  for (const auto& image : images) {
    const auto features = model->teacher_backbone(network_input(image));
    maps.features.push_back(features[0]);
    maps.scores.push_back(model->segment_backbone(features).scores[0]);
  }
  model->train();
  return maps;
}

/// Counts how the clusters that `similarities(i)` [K,h,w] gives image i, at the size of its label
/// map, lie on the labels.
template <class Similarities>
slotcon::eval::ConfusionMatrix confusion_of(std::int64_t clusters, std::int64_t classes,
                                            const std::vector<slotcon::data::LabelMap>& labels,
                                            std::int64_t ignore_label,
                                            const Similarities& similarities) {
  slotcon::eval::ConfusionMatrix confusion(clusters, classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto map = slotcon::eval::upsample_argmax(similarities(i).unsqueeze(0), labels[i].height,
                                                    labels[i].width);
    confusion.add(map[0], labels[i], ignore_label);
  }
  return confusion;
}

namespace detail {

/// Mean of the scores; the classes of clusters are the first one's.
inline slotcon::eval::SegmentationScore mean_score(
    const std::vector<slotcon::eval::SegmentationScore>& scores) {
  const auto count = static_cast<double>(scores.size());
  auto mean = scores.at(0);
  for (std::size_t i = 1; i < scores.size(); ++i) {
    mean.mean_iou += scores[i].mean_iou;
    mean.pixel_accuracy += scores[i].pixel_accuracy;
    for (std::size_t c = 0; c < mean.class_iou.size(); ++c) {
      mean.class_iou[c] += scores[i].class_iou[c];
    }
  }
  mean.mean_iou /= count;
  mean.pixel_accuracy /= count;
  for (double& iou : mean.class_iou) iou /= count;
  return mean;
}

inline double deviation_of(const std::vector<slotcon::eval::SegmentationScore>& scores) {
  if (scores.size() < 2) return 0;
  const auto mean = mean_score(scores).mean_iou;
  double squares = 0;
  for (const auto& score : scores) squares += (score.mean_iou - mean) * (score.mean_iou - mean);
  return std::sqrt(squares / static_cast<double>(scores.size() - 1));
}

/// The rows of several seeds as one.
inline ScoreRow joined_rows(const std::vector<ScoreRow>& rows) {
  std::vector<slotcon::eval::SegmentationScore> one_to_one, majority;
  for (const auto& row : rows) {
    one_to_one.push_back(row.one_to_one);
    majority.push_back(row.majority);
  }
  return {rows.at(0).method,
          rows[0].clusters,
          mean_score(one_to_one),
          mean_score(majority),
          static_cast<std::int64_t>(rows.size()),
          deviation_of(one_to_one),
          deviation_of(majority)};
}

/// Calls rows_of(options of one seed), which gives several rows, for each seed, and joins them.
template <class RowsOf>
std::vector<ScoreRow> over_seeds(const ScoringOptions& options, const RowsOf& rows_of) {
  std::vector<std::vector<ScoreRow>> by_row;
  for (std::int64_t i = 0; i < options.seeds; ++i) {
    auto one = options;
    one.seed += static_cast<std::uint64_t>(i);
    const auto rows = rows_of(one);
    by_row.resize(rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) by_row[r].push_back(rows[r]);
  }
  std::vector<ScoreRow> joined;
  for (const auto& rows : by_row) joined.push_back(joined_rows(rows));
  return joined;
}

/// Scores the clusters of confusion_of().
template <class Similarities>
ScoreRow score_clusters(std::string method, std::int64_t clusters,
                        const slotcon::data::LabelledImages& set, const ScoringOptions& options,
                        const Similarities& similarities) {
  const auto confusion =
      confusion_of(clusters, options.classes, set.labels, options.ignore_label, similarities);
  return {std::move(method), clusters, slotcon::eval::hungarian_score(confusion, options.matching),
          slotcon::eval::majority_score(confusion)};
}

inline ScoreRow score_slots(const std::string& method, const DenseMaps& maps,
                            const slotcon::data::LabelledImages& set,
                            const ScoringOptions& options) {
  return score_clusters(method, maps.scores.at(0).size(0), set, options,
                        [&](std::size_t i) { return maps.scores[i]; });
}

inline ScoreRow score_backbone(const std::string& method, std::int64_t clusters,
                               const DenseMaps& maps, const slotcon::data::LabelledImages& set,
                               const ScoringOptions& options) {
  const auto fitted = slotcon::eval::fit_dense_clusters(
      maps.features, slotcon::eval::KMeansOptions(clusters).seed(options.seed));
  return score_clusters(method, clusters, set, options, [&](std::size_t i) {
    return slotcon::eval::cluster_similarities(maps.features[i].unsqueeze(0), fitted)[0];
  });
}

}  // namespace detail

/// The rows of a network: its slots, and k-means on its backbone with as many clusters as classes
/// and as slots.
template <class Model>
std::vector<ScoreRow> score_network(const std::string& who, Model& model,
                                    const slotcon::data::LabelledImages& set,
                                    const ScoringOptions& options) {
  const auto maps = dense_maps(model, set.images);
  const auto slots = maps.scores.at(0).size(0);
  std::vector<ScoreRow> rows{detail::score_slots(who + " slots", maps, set, options)};
  for (const auto clusters : {options.classes, slots}) {
    const auto row = detail::over_seeds(options, [&](const ScoringOptions& one) {
      return std::vector{
          detail::score_backbone(who + " k-means on backbone", clusters, maps, set, one)};
    });
    rows.push_back(row.at(0));
  }
  return rows;
}

namespace detail {

/// Without those of one cluster, which are the same for any number of clusters.
inline std::vector<ScoreRow> baseline_rows(std::int64_t clusters, bool with_one_cluster,
                                           const slotcon::data::LabelledImages& set,
                                           const ScoringOptions& options) {
  const auto baselines =
      slotcon::eval::cluster_baselines(set.images, set.labels,
                                       slotcon::eval::BaselineOptions(clusters, options.classes)
                                           .ignore_label(options.ignore_label)
                                           .seed(options.seed)
                                           .matching(options.matching));
  std::vector<ScoreRow> rows;
  for (const auto& baseline : baselines) {
    const bool one = baseline.name == "one cluster";
    if (one && !with_one_cluster) continue;
    rows.push_back({baseline.name, one ? 1 : clusters, baseline.one_to_one, baseline.majority});
  }
  return rows;
}

}  // namespace detail

/// The rows that need no network, with as many clusters as classes and as slots.
inline std::vector<ScoreRow> score_baselines(std::int64_t slots,
                                             const slotcon::data::LabelledImages& set,
                                             const ScoringOptions& options) {
  std::vector<ScoreRow> rows;
  for (const auto clusters : {options.classes, slots}) {
    const bool first = rows.empty();
    const auto more = detail::over_seeds(options, [&](const ScoringOptions& one) {
      return detail::baseline_rows(clusters, first, set, one);
    });
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

/// The whole table: the model, the same network untrained, the baselines.
template <class Model>
std::vector<ScoreRow> score_table(Model& model, const ModelOptions& model_options,
                                  const slotcon::data::LabelledImages& set,
                                  const ScoringOptions& options) {
  auto rows = score_network("trained:", model, set, options);
  with_model(model_options, [&](auto untrained) {
    const auto more = score_network("untrained:", untrained, set, options);
    rows.insert(rows.end(), more.begin(), more.end());
  });
  const auto baselines = score_baselines(model_options.num_prototypes, set, options);
  rows.insert(rows.end(), baselines.begin(), baselines.end());
  return rows;
}

namespace detail {

/// "0.241 (0.471)", with several seeds "0.241 +-0.012 (0.471)".
inline std::string score_text(const slotcon::eval::SegmentationScore& score, double deviation,
                              std::int64_t seeds) {
  char text[64];
  if (seeds == 1) {
    std::snprintf(text, sizeof text, "%.3f (%.3f)", score.mean_iou, score.pixel_accuracy);
  } else {
    std::snprintf(text, sizeof text, "%.3f +-%.3f (%.3f)", score.mean_iou, deviation,
                  score.pixel_accuracy);
  }
  return text;
}

}  // namespace detail

inline void print_table(const std::vector<ScoreRow>& rows, std::size_t images) {
  std::printf("\nSegmentation of %zu labelled images (pixel accuracy in brackets)\n", images);
  std::printf("%-34s %8s   %-22s %-22s\n", "", "clusters", "Hungarian mIoU", "majority mIoU");
  for (const auto& row : rows) {
    std::printf("%-34s %8lld   %-22s %-22s\n", row.method.c_str(),
                static_cast<long long>(row.clusters),
                detail::score_text(row.one_to_one, row.one_to_one_deviation, row.seeds).c_str(),
                detail::score_text(row.majority, row.majority_deviation, row.seeds).c_str());
  }
  std::printf(
      "Hungarian: one class a cluster, the rest are errors. Majority: each cluster takes its most "
      "frequent\n"
      "class, which more clusters make easier. Compare rows with equal numbers of clusters.\n");
}

inline void to_json(nlohmann::json& json, const ScoreRow& row) {
  const auto score = [](const slotcon::eval::SegmentationScore& s) {
    return nlohmann::json{{"mean_iou", s.mean_iou},
                          {"pixel_accuracy", s.pixel_accuracy},
                          {"class_iou", s.class_iou},
                          {"class_of_cluster", s.class_of_cluster}};
  };
  json = {{"method", row.method},
          {"clusters", row.clusters},
          {"hungarian", score(row.one_to_one)},
          {"majority", score(row.majority)},
          {"seeds", row.seeds}};
  if (row.seeds == 1) return;
  json["hungarian"]["deviation"] = row.one_to_one_deviation;
  json["majority"]["deviation"] = row.majority_deviation;
}

inline void write_json(const std::filesystem::path& file, const nlohmann::json& json) {
  std::ofstream out(file);
  out << json.dump(2) << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write '" + file.string() + "'");
}

}  // namespace examples
