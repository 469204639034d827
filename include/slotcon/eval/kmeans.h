// k-means clustering: k-means++ starts, Lloyd's iterations, the best of several restarts.
#pragma once

#include <slotcon/data/random.h>
#include <torch/arg.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

namespace slotcon::eval {

/// Numbers of k-means.
struct KMeansOptions {
  /* implicit */ KMeansOptions(std::int64_t clusters) : clusters_(clusters) {}

  TORCH_ARG(std::int64_t, clusters);      ///< K >= 1
  TORCH_ARG(std::int64_t, restarts) = 3;  ///< >= 1: starts; that with the least inertia is kept.
  TORCH_ARG(std::int64_t, iterations) = 300;  ///< >= 1: at most so many per start.
  /// >= 0: a start has converged when the centroids' squared shifts sum to at most `tolerance`
  /// times the mean variance of the points' dimensions.
  TORCH_ARG(double, tolerance) = 1e-4;
  TORCH_ARG(std::uint64_t, seed) = 0;  ///< Of the starts.
};

/// Clusters of points.
struct KMeans {
  torch::Tensor centroids;  ///< [K,D], dtype of the points
  double inertia = 0.0;     ///< sum over the points of the squared distance to their centroid
};

namespace detail {

inline void check_points(const char* who, const torch::Tensor& points) {
  TORCH_CHECK_VALUE(points.dim() == 2 && points.size(1) > 0, who,
                    ": expected points [N,D] with D >= 1, got ", points.sizes());
  TORCH_CHECK_TYPE(points.is_floating_point(), who, ": expected floating points, got ",
                   points.scalar_type());
}

inline void check_kmeans(const torch::Tensor& points, const KMeansOptions& options) {
  check_points("fit_kmeans", points);
  TORCH_CHECK_VALUE(options.clusters() >= 1, "fit_kmeans: expected at least one cluster, got ",
                    options.clusters());
  TORCH_CHECK_VALUE(points.size(0) >= options.clusters(),
                    "fit_kmeans: expected at least as many points as clusters, ",
                    options.clusters(), ", got ", points.size(0));
  TORCH_CHECK_VALUE(options.restarts() >= 1, "fit_kmeans: expected at least one start, got ",
                    options.restarts());
  TORCH_CHECK_VALUE(options.iterations() >= 1, "fit_kmeans: expected at least one iteration, got ",
                    options.iterations());
  TORCH_CHECK_VALUE(options.tolerance() >= 0, "fit_kmeans: expected tolerance >= 0, got ",
                    options.tolerance());
  TORCH_CHECK_VALUE(points.isfinite().all().item<bool>(), "fit_kmeans: expected finite points");
}

/// Points with what every distance to them needs.
class Points {
 public:
  explicit Points(const torch::Tensor& values)
      : values_(values.to(torch::kDouble)),
        squared_norms_(values_.square().sum(1, /*keepdim=*/true)) {}

  const torch::Tensor& values() const { return values_; }  // [N,D]
  std::int64_t count() const { return values_.size(0); }
  torch::Tensor pick(const torch::Tensor& indices) const {
    return values_.index_select(0, indices);
  }

  /// [N,K]: |x|^2 - 2 <x, c> + |c|^2.
  torch::Tensor squared_distances(const torch::Tensor& centroids) const {
    const torch::Tensor norms = squared_norms_ + centroids.square().sum(1);
    return norms.addmm_(values_, centroids.t(), /*beta=*/1, /*alpha=*/-2).clamp_min_(0);
  }

 private:
  torch::Tensor values_;
  torch::Tensor squared_norms_;  // [N,1]
};

/// Numbers of points, each drawn with a chance in proportion to its squared distance `nearest`.
inline torch::Tensor draw_far_points(const torch::Tensor& nearest, std::size_t count,
                                     data::Random& random) {
  std::vector<double> shares(count);
  for (double& share : shares) share = random.uniform();
  const torch::Tensor cumulative = nearest.cumsum(0);
  const torch::Tensor marks = cumulative[-1] * torch::tensor(shares, nearest.options());
  return torch::searchsorted(cumulative, marks, /*out_int32=*/false, /*right=*/true)
      .clamp_max(nearest.size(0) - 1);
}

/// k-means++: the next centroid is one of a few points drawn far from those before it, the one that
/// leaves the least inertia.
inline torch::Tensor plus_plus_start(const Points& points, std::int64_t clusters,
                                     data::Random& random) {
  const auto num_candidates =
      static_cast<std::size_t>(2.0 + std::log(static_cast<double>(clusters)));
  const auto first = random.below(static_cast<std::uint64_t>(points.count()));
  torch::Tensor centroids = points.values().narrow(0, static_cast<std::int64_t>(first), 1);
  torch::Tensor nearest = points.squared_distances(centroids).squeeze(1);
  while (centroids.size(0) < clusters) {
    const torch::Tensor candidates = points.pick(draw_far_points(nearest, num_candidates, random));
    const torch::Tensor left =
        torch::minimum(nearest.unsqueeze(1), points.squared_distances(candidates));
    const auto best = left.sum(0).argmin().item<std::int64_t>();
    centroids = torch::cat({centroids, candidates.narrow(0, best, 1)});
    nearest = left.select(1, best).contiguous();
  }
  return centroids;
}

/// Means of the clusters. Each empty cluster takes over one of the points farthest from theirs.
inline torch::Tensor cluster_means(const Points& points, const torch::Tensor& clusters,
                                   const torch::Tensor& distances, const torch::Tensor& centroids) {
  // A product with one-hot rows, unlike index_add_, is deterministic on CUDA too.
  torch::Tensor membership = torch::one_hot(clusters, centroids.size(0)).to(torch::kDouble);
  torch::Tensor sizes = membership.sum(0);
  const torch::Tensor empty = (sizes == 0).nonzero().squeeze(1);
  if (empty.numel() > 0) {
    const torch::Tensor by_distance =
        std::get<1>(distances.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
    const torch::Tensor farthest = by_distance.narrow(0, 0, empty.numel());
    membership.index_fill_(0, farthest, 0);
    membership.index_put_({farthest, empty}, torch::ones_like(empty, torch::kDouble));
    sizes = membership.sum(0);
  }
  const torch::Tensor means = membership.t().mm(points.values()) / sizes.clamp_min(1).unsqueeze(1);
  return torch::where(sizes.unsqueeze(1) > 0, means, centroids);
}

/// Moves the centroids to the means of their clusters until they stand still.
inline KMeans lloyd(const Points& points, torch::Tensor centroids, std::int64_t iterations,
                    double least_shift) {
  double shift = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < iterations && shift > least_shift; ++i) {
    const auto [distances, clusters] = points.squared_distances(centroids).min(1);
    const torch::Tensor means = cluster_means(points, clusters, distances, centroids);
    shift = (means - centroids).square().sum().item<double>();
    centroids = means;
  }
  const torch::Tensor clusters = points.squared_distances(centroids).argmin(1);
  const torch::Tensor offsets = points.values() - centroids.index_select(0, clusters);
  return {centroids, offsets.square().sum().item<double>()};
}

}  // namespace detail

/// Groups points around K centroids such that the inertia is small.
///
///     inertia = sum_n min_k |points_n - centroids_k|^2
///
/// `points` is [N,D], floating and finite, on any device, N >= K. Computed in float64 whatever
/// their type. A cluster that loses all its points restarts at the point farthest from its
/// centroid. With fewer than K different points some centroids are equal.
/// Determinism: the starts depend on the seed only; equal results from run to run on one device.
/// Throws c10::ValueError for another shape, N < K, points that are not finite and numbers out of
/// range; c10::TypeError for points that are not floating.
/// Source: Lloyd 1982; Arthur and Vassilvitskii, "k-means++", 2007.
inline KMeans fit_kmeans(const torch::Tensor& points, const KMeansOptions& options) {
  detail::check_kmeans(points, options);
  const torch::NoGradGuard no_grad;
  const detail::Points prepared(points);
  const double variance = prepared.values().var(0, /*unbiased=*/false).mean().item<double>();
  KMeans best;
  best.inertia = std::numeric_limits<double>::infinity();
  for (std::int64_t restart = 0; restart < options.restarts(); ++restart) {
    data::Random random = data::Random::keyed(options.seed(), static_cast<std::uint64_t>(restart));
    KMeans result =
        detail::lloyd(prepared, detail::plus_plus_start(prepared, options.clusters(), random),
                      options.iterations(), options.tolerance() * variance);
    if (result.inertia < best.inertia) best = result;
  }
  best.centroids = best.centroids.to(points.scalar_type());
  return best;
}

/// [N] int64: the number of the centroid nearest to each point; the lower of two as near.
/// `points` is [N,D] and `centroids` [K,D], floating, on one device. Computed in float64.
/// Throws c10::ValueError for other shapes, c10::TypeError for another dtype.
inline torch::Tensor nearest_centroid(const torch::Tensor& points, const torch::Tensor& centroids) {
  detail::check_points("nearest_centroid", points);
  detail::check_points("nearest_centroid", centroids);
  TORCH_CHECK_VALUE(centroids.size(0) > 0 && centroids.size(1) == points.size(1),
                    "nearest_centroid: expected centroids [K,", points.size(1),
                    "] with K >= 1, got ", centroids.sizes());
  const torch::NoGradGuard no_grad;
  return detail::Points(points).squared_distances(centroids.to(torch::kDouble)).argmin(1);
}

}  // namespace slotcon::eval
