// What clustering reaches without a network: the rows to print beside any learned segmentation.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/eval/confusion.h>
#include <slotcon/eval/kmeans.h>
#include <slotcon/eval/pixel_features.h>
#include <slotcon/eval/sample.h>
#include <slotcon/eval/segmentation_score.h>
#include <torch/arg.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace slotcon::eval {

/// Numbers of the baselines.
struct BaselineOptions {
  BaselineOptions(std::int64_t clusters, std::int64_t classes)
      : clusters_(clusters), classes_(classes) {}

  TORCH_ARG(std::int64_t, clusters);                     ///< K >= 1: clusters of k-means.
  TORCH_ARG(std::int64_t, classes);                      ///< >= 1: classes of the labels.
  TORCH_ARG(std::optional<std::int64_t>, ignore_label);  ///< Not scored, if there is one.
  TORCH_ARG(std::uint64_t, seed) = 0;              ///< Of the sample and of the starts of k-means.
  TORCH_ARG(Matching, matching) = Matching::kIou;  ///< Of `hungarian_score`.
};

/// One row of the table.
struct Baseline {
  std::string name;
  SegmentationScore one_to_one;  ///< by `hungarian_score`
  SegmentationScore majority;    ///< by `majority_score`
};

namespace detail {

inline void check_labelled_images(const std::vector<data::Image>& images,
                                  const std::vector<data::LabelMap>& labels) {
  TORCH_CHECK_VALUE(!images.empty() && images.size() == labels.size(),
                    "cluster_baselines: expected images and as many label maps, got ",
                    images.size(), " and ", labels.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    TORCH_CHECK_VALUE(images[i].height == labels[i].height && images[i].width == labels[i].width,
                      "cluster_baselines: expected label map ", i, " of the size of its image, ",
                      images[i].height, " x ", images[i].width, ", got ", labels[i].height, " x ",
                      labels[i].width);
  }
}

/// k-means on a sample of the positions of all images.
inline KMeans fit_pixel_clusters(const std::vector<data::Image>& images, PixelFeature feature,
                                 const BaselineOptions& options) {
  std::vector<std::int64_t> sizes;
  for (const data::Image& image : images) sizes.push_back(std::int64_t{image.height} * image.width);
  const auto positions = sample_positions(sizes, kMaxFittedPositions, options.seed());
  std::vector<torch::Tensor> sample;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (positions[i].empty()) continue;
    sample.push_back(
        pixel_features(images[i], feature).index_select(0, torch::tensor(positions[i])));
  }
  return fit_kmeans(torch::cat(sample), KMeansOptions(options.clusters()).seed(options.seed()));
}

inline Baseline pixel_baseline(const std::vector<data::Image>& images,
                               const std::vector<data::LabelMap>& labels, PixelFeature feature,
                               const BaselineOptions& options) {
  const KMeans kmeans = fit_pixel_clusters(images, feature, options);
  ConfusionMatrix confusion(options.clusters(), options.classes());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const torch::Tensor clusters =
        nearest_centroid(pixel_features(images[i], feature), kmeans.centroids);
    confusion.add(clusters.view({images[i].height, images[i].width}), labels[i],
                  options.ignore_label());
  }
  return {std::string("k-means ") + name(feature), hungarian_score(confusion, options.matching()),
          majority_score(confusion)};
}

inline Baseline one_cluster_baseline(const std::vector<data::LabelMap>& labels,
                                     const BaselineOptions& options) {
  ConfusionMatrix confusion(1, options.classes());
  for (const data::LabelMap& map : labels) {
    confusion.add(torch::zeros({map.height, map.width}, torch::kLong), map, options.ignore_label());
  }
  return {"one cluster", hungarian_score(confusion, options.matching()), majority_score(confusion)};
}

}  // namespace detail

/// Scores one cluster for everything and k-means on each of `kPixelFeatures`, in this order.
///
/// k-means is fitted on a random sample of at most kMaxFittedPositions positions of all images,
/// labelled or not, with 3 restarts, and then applied to all positions. The images may differ in
/// size.
/// Throws c10::ValueError for no images, another number of label maps, a label map of another size
/// than its image, labels out of range, and fewer positions than clusters.
inline std::vector<Baseline> cluster_baselines(const std::vector<data::Image>& images,
                                               const std::vector<data::LabelMap>& labels,
                                               const BaselineOptions& options) {
  detail::check_labelled_images(images, labels);
  std::vector<Baseline> baselines{detail::one_cluster_baseline(labels, options)};
  for (const PixelFeature feature : kPixelFeatures) {
    baselines.push_back(detail::pixel_baseline(images, labels, feature, options));
  }
  return baselines;
}

}  // namespace slotcon::eval
