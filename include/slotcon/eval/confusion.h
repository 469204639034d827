// How often each cluster meets each class: the counts from which segmentation scores are made.
#pragma once

#include <slotcon/data/image.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>

namespace slotcon::eval {

/// Positions counted by (cluster, class), over as many maps as wanted.
class ConfusionMatrix {
 public:
  /// Counts of zero. Throws c10::ValueError unless both numbers are at least 1.
  ConfusionMatrix(std::int64_t num_clusters, std::int64_t num_classes)
      : num_clusters_(num_clusters), num_classes_(num_classes) {
    TORCH_CHECK_VALUE(num_clusters >= 1 && num_classes >= 1,
                      "ConfusionMatrix: expected at least one cluster and one class, got ",
                      num_clusters, " and ", num_classes);
    counts_ = torch::zeros({num_clusters, num_classes}, torch::kLong);
  }

  /// Counts the positions of one or more maps.
  ///
  /// Shapes: `clusters`, `labels` of one shape, any; also empty.
  /// Types: integers of any width, on any device; the counts stay on the CPU.
  /// `clusters` holds 0 .. num_clusters - 1. `labels` holds 0 .. num_classes - 1, or `ignore_label`
  /// if there is one: such positions are not counted, whatever their cluster.
  /// Throws c10::TypeError for other dtypes, c10::ValueError for unequal shapes and for an id out
  /// of range at a position that counts; the counts are then what they were.
  void add(const torch::Tensor& clusters, const torch::Tensor& labels,
           std::optional<std::int64_t> ignore_label = std::nullopt) {
    check_integers(clusters, "clusters");
    check_integers(labels, "labels");
    TORCH_CHECK_VALUE(clusters.sizes() == labels.sizes(),
                      "ConfusionMatrix::add: expected clusters and labels of one shape, got ",
                      clusters.sizes(), " and ", labels.sizes());
    torch::Tensor classes = labels.reshape(-1).to(torch::kLong);
    torch::Tensor ids = clusters.reshape(-1).to(classes.device(), torch::kLong);
    if (ignore_label) {
      const torch::Tensor counted = classes != *ignore_label;
      classes = classes.masked_select(counted);
      ids = ids.masked_select(counted);
    }
    check_range(ids, num_clusters_, "cluster ids");
    check_range(classes, num_classes_, "labels");
    counts_ += (ids * num_classes_ + classes)
                   .bincount(/*weights=*/{}, num_clusters_ * num_classes_)
                   .view_as(counts_)
                   .cpu();
  }

  /// The same for the label map of one image and clusters [H,W].
  void add(const torch::Tensor& clusters, const data::LabelMap& labels,
           std::optional<std::int64_t> ignore_label = std::nullopt) {
    // The tensor only reads: from_blob has no form for constant memory.
    auto* const values = const_cast<std::uint8_t*>(labels.labels.data());
    add(clusters, torch::from_blob(values, {labels.height, labels.width}, torch::kByte),
        ignore_label);
  }

  /// Adds the counts of `other`. Throws c10::ValueError for another number of clusters or classes.
  void merge(const ConfusionMatrix& other) {
    TORCH_CHECK_VALUE(counts_.sizes() == other.counts_.sizes(),
                      "ConfusionMatrix::merge: expected counts ", counts_.sizes(), ", got ",
                      other.counts_.sizes());
    counts_ += other.counts_;
  }

  /// [clusters, classes] int64 on the CPU: a copy, which later additions do not change.
  torch::Tensor counts() const { return counts_.clone(); }

  std::int64_t num_clusters() const { return num_clusters_; }
  std::int64_t num_classes() const { return num_classes_; }

 private:
  static void check_integers(const torch::Tensor& ids, const char* name) {
    TORCH_CHECK_TYPE(c10::isIntegralType(ids.scalar_type(), /*includeBool=*/false),
                     "ConfusionMatrix::add: expected integer ", name, ", got ", ids.scalar_type());
  }

  static void check_range(const torch::Tensor& ids, std::int64_t count, const char* name) {
    if (ids.numel() == 0) return;
    const auto [lowest, highest] = ids.aminmax();
    const auto low = lowest.item<std::int64_t>();
    const auto high = highest.item<std::int64_t>();
    TORCH_CHECK_VALUE(low >= 0 && high < count, "ConfusionMatrix::add: expected ", name, " 0 to ",
                      count - 1, ", got ", low < 0 ? low : high);
  }

  std::int64_t num_clusters_;
  std::int64_t num_classes_;
  torch::Tensor counts_;
};

}  // namespace slotcon::eval
