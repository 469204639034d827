// Scores of an unsupervised segmentation: clusters are given classes, then compared with the
// labels.
#pragma once

#include <slotcon/eval/assignment.h>
#include <slotcon/eval/confusion.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace slotcon::eval {

/// How well clusters that were given classes agree with the labels; shares in [0,1].
///
/// A class that has no labelled position and is predicted at none has IoU NaN and is left out of
/// the mean. With no labelled position at all, `mean_iou` and `pixel_accuracy` are NaN.
struct SegmentationScore {
  double mean_iou = 0.0;                       ///< mean of `class_iou` without its NaN
  double pixel_accuracy = 0.0;                 ///< labelled positions whose cluster has their class
  std::vector<double> class_iou;               ///< [classes]: TP / (TP + FP + FN)
  std::vector<std::int64_t> class_of_cluster;  ///< [clusters]: -1 for a cluster without a class
};

namespace detail {

/// The counts of a confusion matrix with their sums, as doubles.
class ClassCounts {
 public:
  explicit ClassCounts(const ConfusionMatrix& confusion)
      : clusters_(static_cast<std::size_t>(confusion.num_clusters())),
        classes_(static_cast<std::size_t>(confusion.num_classes())),
        counts_(clusters_ * classes_),
        cluster_sizes_(clusters_, 0.0),
        class_sizes_(classes_, 0.0) {
    const torch::Tensor counts = confusion.counts();
    const auto* const values = counts.const_data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] = static_cast<double>(values[i]);
      cluster_sizes_[i / classes_] += counts_[i];
      class_sizes_[i % classes_] += counts_[i];
    }
  }

  std::size_t clusters() const { return clusters_; }
  std::size_t classes() const { return classes_; }
  double count(std::size_t cluster, std::size_t label) const {
    return counts_[cluster * classes_ + label];
  }
  double cluster_size(std::size_t cluster) const { return cluster_sizes_[cluster]; }
  double class_size(std::size_t label) const { return class_sizes_[label]; }

 private:
  std::size_t clusters_;
  std::size_t classes_;
  std::vector<double> counts_;
  std::vector<double> cluster_sizes_;
  std::vector<double> class_sizes_;
};

inline SegmentationScore score_of_classes(const ClassCounts& counts,
                                          std::vector<std::int64_t> class_of_cluster) {
  std::vector<double> hits(counts.classes(), 0.0);
  std::vector<double> predicted(counts.classes(), 0.0);
  for (std::size_t cluster = 0; cluster < counts.clusters(); ++cluster) {
    if (class_of_cluster[cluster] < 0) continue;
    const auto label = static_cast<std::size_t>(class_of_cluster[cluster]);
    hits[label] += counts.count(cluster, label);
    predicted[label] += counts.cluster_size(cluster);
  }
  SegmentationScore score;
  score.class_of_cluster = std::move(class_of_cluster);
  double iou_sum = 0.0, scored_classes = 0.0, hit_sum = 0.0, labelled = 0.0;
  for (std::size_t label = 0; label < counts.classes(); ++label) {
    const double either = predicted[label] + counts.class_size(label) - hits[label];
    score.class_iou.push_back(hits[label] / either);  // 0 / 0 is NaN
    if (either > 0) {
      iou_sum += hits[label] / either;
      scored_classes += 1.0;
    }
    hit_sum += hits[label];
    labelled += counts.class_size(label);
  }
  score.mean_iou = iou_sum / scored_classes;
  score.pixel_accuracy = hit_sum / labelled;
  return score;
}

}  // namespace detail

/// What a one-to-one matching of clusters and classes maximises the sum of.
enum class Matching {
  kIou,       ///< IoU(cluster, class) = TP / (TP + FP + FN), the measure that is reported
  kPositions  ///< positions, so the accuracy: what the published tables of COCO-Stuff-27 do
};

namespace detail {

/// [clusters * classes]: 0 for a pair that shares no position.
inline std::vector<double> matching_gains(const ClassCounts& counts, Matching matching) {
  std::vector<double> gains(counts.clusters() * counts.classes(), 0.0);
  for (std::size_t cluster = 0; cluster < counts.clusters(); ++cluster) {
    for (std::size_t label = 0; label < counts.classes(); ++label) {
      const double hits = counts.count(cluster, label);
      const double either = counts.cluster_size(cluster) + counts.class_size(label) - hits;
      if (hits > 0) {
        gains[cluster * counts.classes() + label] =
            matching == Matching::kIou ? hits / either : hits;
      }
    }
  }
  return gains;
}

}  // namespace detail

/// Scores clusters that are matched one to one with classes (Hungarian matching).
///
/// A matched pair that shares no position is no match. Clusters without a class count as errors:
/// their positions are missed (FN) by the classes that they lie on. Classes without a cluster have
/// IoU 0 if they occur. So the mean is over the classes that occur, and renumbering the clusters
/// does not change it.
/// Note: evaluations that insist on a full matching give IoU 0, not NaN, to a class that does not
/// occur and is left with a cluster that has positions.
inline SegmentationScore hungarian_score(const ConfusionMatrix& confusion,
                                         Matching matching = Matching::kIou) {
  const detail::ClassCounts counts(confusion);
  std::vector<std::int64_t> class_of_cluster = maximum_assignment(
      detail::matching_gains(counts, matching), confusion.num_clusters(), confusion.num_classes());
  for (std::size_t cluster = 0; cluster < counts.clusters(); ++cluster) {
    const std::int64_t label = class_of_cluster[cluster];
    if (label < 0) continue;
    if (!(counts.count(cluster, static_cast<std::size_t>(label)) > 0)) {
      class_of_cluster[cluster] = -1;
    }
  }
  return detail::score_of_classes(counts, std::move(class_of_cluster));
}

/// Scores predictions that are classes themselves: cluster i is class i.
///
/// Throws c10::ValueError unless there are as many clusters as classes.
inline SegmentationScore labelled_score(const ConfusionMatrix& confusion) {
  TORCH_CHECK_VALUE(confusion.num_clusters() == confusion.num_classes(),
                    "labelled_score: expected a cluster for each class, got ",
                    confusion.num_clusters(), " and ", confusion.num_classes(), " classes");
  std::vector<std::int64_t> itself(static_cast<std::size_t>(confusion.num_classes()));
  std::iota(itself.begin(), itself.end(), 0);
  return detail::score_of_classes(detail::ClassCounts(confusion), std::move(itself));
}

/// Scores clusters that each take their most frequent class (majority vote, many to one).
///
/// The vote uses the labels that the score is computed on, so it rises with the number of clusters:
/// do not compare it with one-to-one scores. Equal counts go to the lower class; a cluster without
/// a labelled position gets no class.
inline SegmentationScore majority_score(const ConfusionMatrix& confusion) {
  const detail::ClassCounts counts(confusion);
  std::vector<std::int64_t> class_of_cluster(counts.clusters(), -1);
  for (std::size_t cluster = 0; cluster < counts.clusters(); ++cluster) {
    double most = 0.0;
    for (std::size_t label = 0; label < counts.classes(); ++label) {
      if (!(counts.count(cluster, label) > most)) continue;
      most = counts.count(cluster, label);
      class_of_cluster[cluster] = static_cast<std::int64_t>(label);
    }
  }
  return detail::score_of_classes(counts, std::move(class_of_cluster));
}

}  // namespace slotcon::eval
