// k-means on the dense features of a network: how far its features separate classes by themselves.
#pragma once

#include <slotcon/core/unit_length.h>
#include <slotcon/eval/kmeans.h>
#include <slotcon/eval/sample.h>
#include <slotcon/eval/upsample_argmax.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace slotcon::eval {

/// Clusters of dense features: of directions, seen from the mean feature.
struct DenseClusters {
  torch::Tensor mean;       ///< [D] float32: over all positions of the evaluation set
  torch::Tensor centroids;  ///< [K,D] float32: of centred features of length 1
};

namespace detail {

inline void check_dense_maps(const std::vector<torch::Tensor>& maps) {
  TORCH_CHECK_VALUE(!maps.empty(), "fit_dense_clusters: expected at least one map");
  for (std::size_t i = 0; i < maps.size(); ++i) {
    TORCH_CHECK_VALUE(maps[i].dim() == 3 && maps[i].size(0) == maps[0].size(0),
                      "fit_dense_clusters: expected maps [D,h,w] with one D, got ", maps[i].sizes(),
                      " as map ", i);
    TORCH_CHECK_TYPE(maps[i].is_floating_point(),
                     "fit_dense_clusters: expected floating features, got ", maps[i].scalar_type());
  }
}

/// [D]: summed in float64.
inline torch::Tensor mean_feature(const std::vector<torch::Tensor>& maps) {
  torch::Tensor sum = torch::zeros({maps[0].size(0)}, maps[0].options().dtype(torch::kDouble));
  std::int64_t positions = 0;
  for (const torch::Tensor& map : maps) {
    sum += map.flatten(1).sum(1, /*keepdim=*/false, torch::kDouble);
    positions += map.size(1) * map.size(2);
  }
  return (sum / positions).to(torch::kFloat);
}

/// Features with their channels along `dim`, centred and of length 1; float32.
inline torch::Tensor centred_directions(const torch::Tensor& features, const torch::Tensor& mean,
                                        std::int64_t dim) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(features.dim()), 1);
  shape[static_cast<std::size_t>(dim)] = -1;
  return unit_length(features.to(torch::kFloat) - mean.view(shape), dim);
}

}  // namespace detail

/// Fits k-means to the features of an evaluation set, centred and normalised.
///
///     x'[n] = (x[n] - m) / |x[n] - m|,   m = mean of x over all positions of all maps
///
/// `maps` holds one map [D,h,w] an image, of any size, of any floating dtype, on one device.
/// Fitted on a random sample of at most kMaxFittedPositions positions, drawn with the options'
/// seed. A feature equal to the mean stays 0 (lengths are not taken below 1e-12).
/// Throws c10::ValueError for no map, other shapes, unequal D, and what `fit_kmeans` throws for;
/// c10::TypeError for another dtype.
inline DenseClusters fit_dense_clusters(const std::vector<torch::Tensor>& maps,
                                        const KMeansOptions& options) {
  detail::check_dense_maps(maps);
  const torch::NoGradGuard no_grad;
  const torch::Tensor mean = detail::mean_feature(maps);
  std::vector<std::int64_t> sizes;
  for (const torch::Tensor& map : maps) sizes.push_back(map.size(1) * map.size(2));
  const auto positions = sample_positions(sizes, kMaxFittedPositions, options.seed());
  std::vector<torch::Tensor> sample;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const torch::Tensor picked = torch::tensor(positions[i], maps[i].options().dtype(torch::kLong));
    sample.push_back(maps[i].flatten(1).index_select(1, picked).t());
  }
  const torch::Tensor points = detail::centred_directions(torch::cat(sample), mean, /*dim=*/1);
  return {mean, fit_kmeans(points, options).centroids};
}

/// The same for maps of one size, [N,D,h,w].
inline DenseClusters fit_dense_clusters(const torch::Tensor& maps, const KMeansOptions& options) {
  TORCH_CHECK_VALUE(maps.dim() == 4, "fit_dense_clusters: expected maps [N,D,h,w], got ",
                    maps.sizes());
  return fit_dense_clusters(maps.unbind(), options);
}

/// How near features are to each centroid: the higher, the nearer.
///
///     similarity[n,k,y,x] = <x'[n,:,y,x], c_k> - |c_k|^2 / 2
///
/// so that the largest similarity is that of the nearest centroid. `features` [N,D,h,w], floating;
/// result [N,K,h,w] float32.
/// Throws c10::ValueError for another shape.
inline torch::Tensor cluster_similarities(const torch::Tensor& features,
                                          const DenseClusters& clusters) {
  TORCH_CHECK_VALUE(features.dim() == 4 && features.size(1) == clusters.mean.size(0),
                    "cluster_similarities: expected features [N,", clusters.mean.size(0),
                    ",h,w], got ", features.sizes());
  const torch::NoGradGuard no_grad;
  const torch::Tensor directions = detail::centred_directions(features, clusters.mean, /*dim=*/1);
  const torch::Tensor products =
      clusters.centroids.matmul(directions.flatten(2)).unflatten(2, features.sizes().slice(2));
  return products - clusters.centroids.square().sum(1).view({1, -1, 1, 1}) / 2;
}

/// The clusters of images at label resolution: [N,height,width] int64.
///
/// The similarity maps are upsampled, not the features; see `upsample_argmax`.
inline torch::Tensor dense_cluster_maps(const torch::Tensor& features,
                                        const DenseClusters& clusters, std::int64_t height,
                                        std::int64_t width) {
  return upsample_argmax(cluster_similarities(features, clusters), height, width);
}

}  // namespace slotcon::eval
