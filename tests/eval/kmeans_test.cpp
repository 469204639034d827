#include <gtest/gtest.h>
#include <slotcon/eval/kmeans.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::eval::fit_kmeans;
using slotcon::eval::KMeans;
using slotcon::eval::KMeansOptions;
using slotcon::eval::nearest_centroid;

namespace {

/// Point n is in blob n % clusters; see generate_kmeans.py.
torch::Tensor blobs(std::int64_t count, std::int64_t clusters, std::int64_t dims, double spacing) {
  torch::Tensor points = torch::empty({count, dims}, torch::kDouble);
  auto value = points.accessor<double, 2>();
  std::uint32_t index = 0;
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int64_t blob = n % clusters;
    for (std::int64_t d = 0; d < dims; ++d) {
      const double centre = d == blob % dims ? spacing * static_cast<double>(1 + blob / dims) : 0;
      value[n][d] = centre + (static_cast<double>(hashed(index++) % 2001) - 1000) / 1000;
    }
  }
  return points;
}

torch::Tensor uniform_points(std::uint32_t count, std::uint32_t dims) {
  std::vector<double> values;
  for (std::uint32_t i = 0; i < count * dims; ++i) values.push_back((hashed(i) % 1000) / 1000.0);
  return torch::tensor(values, torch::kDouble).view({count, dims});
}

double inertia_by_definition(const torch::Tensor& points, const torch::Tensor& centroids) {
  const torch::Tensor distances = (points.unsqueeze(1) - centroids.unsqueeze(0)).square().sum(2);
  return std::get<0>(distances.min(1)).sum().item<double>();
}

}  // namespace

TEST(KMeans, FindsTheInertiaOfScikitLearnOnSeparateBlobs) {
  struct Case {
    std::int64_t count, clusters, dims;
    double spacing, inertia;
  };
  // From generate_kmeans.py.
  const Case cases[] = {{90, 6, 3, 20, 85.96546026666662},
                        {400, 10, 4, 15, 513.5170833750004},
                        {50, 1, 2, 10, 38.202984499999985}};
  for (const Case& c : cases) {
    const torch::Tensor points = blobs(c.count, c.clusters, c.dims, c.spacing);
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const KMeans kmeans = fit_kmeans(points, KMeansOptions(c.clusters).seed(seed));
      EXPECT_NEAR(kmeans.inertia, c.inertia, 1e-9 * c.inertia);
    }
  }
}

TEST(KMeans, FindsTheCentroidsOfScikitLearn) {
  const torch::Tensor centroids = fit_kmeans(blobs(90, 6, 3, 20), KMeansOptions(6)).centroids;
  // From generate_kmeans.py.
  const torch::Tensor expected = torch::tensor({{-1.184e-01, 3.975633333e+01, -1.648e-01},
                                                {-2.24e-02, 1.999353333e+01, 3.593333333e-02},
                                                {4.8e-03, -4.446666667e-02, 3.98708e+01},
                                                {2.184666667e-01, 5.373333333e-02, 2.024793333e+01},
                                                {2.022986667e+01, 2.004e-01, 1.983333333e-01},
                                                {3.992913333e+01, -1.465333333e-01, -1.022e-01}},
                                               torch::kDouble);
  const torch::Tensor order = centroids.select(1, 0).argsort();
  EXPECT_TRUE(centroids.index_select(0, order).allclose(expected, 0, 1e-8)) << centroids;
}

TEST(KMeans, ComesCloseToTheBestOfManyStartsOnPointsWithoutClusters) {
  const torch::Tensor points = uniform_points(300, 2);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const KMeans kmeans = fit_kmeans(points, KMeansOptions(8).restarts(10).seed(seed));
    // The best of 150 starts of scikit-learn is 5.933907801343436 (generate_kmeans.py).
    EXPECT_GE(kmeans.inertia, 5.933907801343436 * (1 - 1e-9));
    EXPECT_LE(kmeans.inertia, 5.933907801343436 * 1.03);
    EXPECT_NEAR(kmeans.inertia, inertia_by_definition(points, kmeans.centroids), 1e-12);
  }
}

TEST(KMeans, EndsWhereEachCentroidIsTheMeanOfItsCluster) {
  const torch::Tensor points = uniform_points(300, 3);
  const torch::Tensor centroids = fit_kmeans(points, KMeansOptions(7).tolerance(0)).centroids;
  const torch::Tensor clusters = nearest_centroid(points, centroids);
  for (std::int64_t cluster = 0; cluster < 7; ++cluster) {
    const torch::Tensor members =
        points.index_select(0, (clusters == cluster).nonzero().squeeze(1));
    EXPECT_TRUE(members.mean(0).allclose(centroids[cluster], 0, 1e-12));
  }
}

TEST(KMeans, KeepsTheBestOfItsRestarts) {
  const torch::Tensor points = uniform_points(300, 2);
  double previous = std::numeric_limits<double>::infinity();
  for (const std::int64_t restarts : {1, 2, 4, 8}) {
    const double inertia = fit_kmeans(points, KMeansOptions(12).restarts(restarts)).inertia;
    EXPECT_LE(inertia, previous);
    previous = inertia;
  }
  EXPECT_LT(previous, fit_kmeans(points, KMeansOptions(12).restarts(1)).inertia);
}

TEST(KMeans, DependsOnItsSeedOnly) {
  const torch::Tensor points = uniform_points(300, 2);
  torch::manual_seed(1);
  const KMeans first = fit_kmeans(points, KMeansOptions(12).seed(4).restarts(1));
  torch::manual_seed(2);
  const KMeans second = fit_kmeans(points, KMeansOptions(12).seed(4).restarts(1));
  const KMeans other = fit_kmeans(points, KMeansOptions(12).seed(5).restarts(1));
  EXPECT_TRUE(first.centroids.equal(second.centroids));
  EXPECT_EQ(first.inertia, second.inertia);
  EXPECT_FALSE(first.centroids.equal(other.centroids));
}

TEST(KMeans, KeepsTheTypeOfThePointsAndPrecisionFarFromTheOrigin) {
  const torch::Tensor points = blobs(90, 6, 3, 20);
  const KMeans shifted = fit_kmeans((points + 4096).to(torch::kFloat), KMeansOptions(6));
  EXPECT_EQ(shifted.centroids.scalar_type(), torch::kFloat);
  // In float32 the points themselves are rounded to 2^-12 or so, and the 270 errors add up.
  EXPECT_NEAR(shifted.inertia, 85.96546026666662, 1e-2);
}

TEST(KMeans, GivesEachPointItsOwnClusterWhenThereAreNoMorePoints) {
  const torch::Tensor points = uniform_points(9, 2);
  const KMeans kmeans = fit_kmeans(points, KMeansOptions(9));
  EXPECT_NEAR(kmeans.inertia, 0, 1e-14);
  const torch::Tensor clusters = nearest_centroid(points, kmeans.centroids);
  EXPECT_TRUE(std::get<0>(clusters.sort()).equal(torch::arange(9)));
}

TEST(KMeans, RepeatsCentroidsWhenThereAreFewerDifferentPoints) {
  const torch::Tensor points = torch::tensor({{1., 2.}, {5., 5.}}).repeat({4, 1});
  const KMeans kmeans = fit_kmeans(points, KMeansOptions(3));
  EXPECT_EQ(kmeans.inertia, 0);
  EXPECT_EQ(kmeans.centroids.sizes(), (torch::IntArrayRef{3, 2}));
  EXPECT_TRUE(kmeans.centroids.isfinite().all().item<bool>());
}

TEST(KMeans, RestartsAnEmptyClusterAtTheFarthestPoint) {
  namespace detail = slotcon::eval::detail;
  const detail::Points points(torch::tensor({{0.}, {1.}, {2.}, {10.}}));
  const torch::Tensor centroids = torch::tensor({{1.}, {-50.}, {-60.}}, torch::kDouble);
  const auto [distances, clusters] = points.squared_distances(centroids).min(1);
  const torch::Tensor means = detail::cluster_means(points, clusters, distances, centroids);
  // Point 10 goes to the first empty cluster; of 0 and 2, equally far, the first to the second.
  EXPECT_TRUE(means.equal(torch::tensor({{1.5}, {10.}, {0.}}, torch::kDouble))) << means;
}

TEST(NearestCentroid, TakesTheLowerOfTwoAsNear) {
  const torch::Tensor centroids = torch::tensor({{0.f, 0.f}, {2.f, 0.f}, {2.f, 0.f}});
  const torch::Tensor points = torch::tensor({{1.f, 5.f}, {1.5f, 0.f}, {-3.f, 1.f}});
  EXPECT_TRUE(nearest_centroid(points, centroids).equal(torch::tensor({0, 1, 0})));
  EXPECT_EQ(nearest_centroid(points.narrow(0, 0, 0), centroids).numel(), 0);
}

TEST(KMeans, SaysWhatIsWrong) {
  const torch::Tensor points = torch::zeros({3, 2});
  const auto text = [](const torch::Tensor& values, const KMeansOptions& options) {
    return error_text<c10::ValueError>([&] { fit_kmeans(values, options); });
  };
  EXPECT_EQ(text(points, KMeansOptions(4)),
            "fit_kmeans: expected at least as many points as clusters, 4, got 3");
  EXPECT_EQ(text(points, KMeansOptions(0)), "fit_kmeans: expected at least one cluster, got 0");
  EXPECT_EQ(text(points.view({3, 2, 1}), KMeansOptions(2)),
            "fit_kmeans: expected points [N,D] with D >= 1, got [3, 2, 1]");
  EXPECT_EQ(text(points.narrow(1, 0, 0), KMeansOptions(2)),
            "fit_kmeans: expected points [N,D] with D >= 1, got [3, 0]");
  EXPECT_EQ(text(points, KMeansOptions(2).restarts(0)),
            "fit_kmeans: expected at least one start, got 0");
  EXPECT_EQ(text(points, KMeansOptions(2).iterations(0)),
            "fit_kmeans: expected at least one iteration, got 0");
  EXPECT_EQ(text(points, KMeansOptions(2).tolerance(-1)),
            "fit_kmeans: expected tolerance >= 0, got -1");
  EXPECT_EQ(text(points / 0, KMeansOptions(2)), "fit_kmeans: expected finite points");
  EXPECT_EQ(
      error_text<c10::TypeError>([&] { fit_kmeans(points.to(torch::kLong), KMeansOptions(2)); }),
      "fit_kmeans: expected floating points, got Long");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              nearest_centroid(points, torch::zeros({2, 3}));
            }),
            "nearest_centroid: expected centroids [K,2] with K >= 1, got [2, 3]");
}
