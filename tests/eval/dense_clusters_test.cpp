#include <gtest/gtest.h>
#include <slotcon/eval/confusion.h>
#include <slotcon/eval/dense_clusters.h>
#include <slotcon/eval/segmentation_score.h>

#include <cstdint>
#include <vector>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::eval::cluster_similarities;
using slotcon::eval::dense_cluster_maps;
using slotcon::eval::DenseClusters;
using slotcon::eval::fit_dense_clusters;
using slotcon::eval::KMeansOptions;

namespace {

/// Values in [-1,1].
torch::Tensor hashed_features(const std::vector<std::int64_t>& shape, std::uint32_t start = 0) {
  const std::int64_t count = torch::zeros(shape).numel();
  std::vector<double> values;
  for (std::uint32_t i = 0; i < count; ++i) values.push_back(hashed(start + i) / 32768.0 - 1.0);
  return torch::tensor(values, torch::kFloat).view(shape);
}

/// Which of 3 classes each position of 4 maps 6 x 8 has.
torch::Tensor planted_classes() {
  return torch::arange(4 * 6 * 8).remainder(7).remainder(3).view({4, 6, 8});
}

/// Features whose direction from the mean is that of their class, and whose length is not.
torch::Tensor planted_features() {
  const torch::Tensor directions = torch::tensor(
      {{4.f, 0.f, 0.f, 0.f, 1.f}, {0.f, 4.f, 0.f, 0.f, 1.f}, {0.f, 0.f, 4.f, 0.f, 1.f}});
  const torch::Tensor clean = directions.index_select(0, planted_classes().view(-1));
  const torch::Tensor features = clean + 0.3 * hashed_features({192, 5});
  return features.view({4, 6, 8, 5}).permute({0, 3, 1, 2});
}

double score_of(const torch::Tensor& clusters, const torch::Tensor& classes) {
  slotcon::eval::ConfusionMatrix confusion(3, 3);
  confusion.add(clusters, classes);
  return slotcon::eval::hungarian_score(confusion).mean_iou;
}

}  // namespace

TEST(DenseClusters, FindDirectionsInFeatures) {
  const torch::Tensor features = planted_features();
  const DenseClusters clusters = fit_dense_clusters(features, KMeansOptions(3));
  EXPECT_EQ(score_of(dense_cluster_maps(features, clusters, 6, 8), planted_classes()), 1.0);
}

TEST(DenseClusters, DoNotSeeACommonOffset) {
  const torch::Tensor features = planted_features();
  const torch::Tensor moved =
      features + torch::tensor({50.f, -20.f, 30.f, 9.f, 0.f}).view({5, 1, 1});
  const DenseClusters expected = fit_dense_clusters(features, KMeansOptions(3));
  const DenseClusters clusters = fit_dense_clusters(moved, KMeansOptions(3));
  EXPECT_TRUE(clusters.centroids.allclose(expected.centroids, 0, 1e-4));
  EXPECT_TRUE(dense_cluster_maps(moved, clusters, 9, 9)
                  .equal(dense_cluster_maps(features, expected, 9, 9)));
}

TEST(DenseClusters, CentreOnAllPositionsOfAllMaps) {
  const std::vector<torch::Tensor> maps{hashed_features({4, 3, 5}),
                                        hashed_features({4, 7, 2}, 500)};
  const torch::Tensor all = torch::cat({maps[0].flatten(1), maps[1].flatten(1)}, 1);
  const DenseClusters clusters = fit_dense_clusters(maps, KMeansOptions(2));
  EXPECT_TRUE(clusters.mean.allclose(all.mean(1), 0, 1e-6));
  EXPECT_EQ(clusters.centroids.sizes(), (torch::IntArrayRef{2, 4}));
  EXPECT_EQ(clusters.centroids.scalar_type(), torch::kFloat);
}

TEST(DenseClusters, AreKMeansOfCentredDirections) {
  const torch::Tensor features = hashed_features({2, 6, 4, 5});
  const DenseClusters clusters = fit_dense_clusters(features, KMeansOptions(4).seed(3));
  const torch::Tensor rows = features.permute({0, 2, 3, 1}).reshape({40, 6}).to(torch::kDouble);
  const torch::Tensor centred = rows - rows.mean(0);
  const torch::Tensor points = centred / centred.norm(2, {1}, true);
  const auto kmeans = slotcon::eval::fit_kmeans(points, KMeansOptions(4).seed(3));
  EXPECT_TRUE(clusters.centroids.to(torch::kDouble).allclose(kmeans.centroids, 0, 1e-5));
}

TEST(DenseClusters, MostSimilarCentroidIsTheNearest) {
  const torch::Tensor features = hashed_features({2, 6, 4, 5});
  const DenseClusters clusters{torch::full({6}, 0.1f), hashed_features({5, 6}, 9000)};
  const torch::Tensor centred = features - 0.1;
  const torch::Tensor points =
      (centred / centred.norm(2, {1}, true)).permute({0, 2, 3, 1}).reshape({40, 6});
  const torch::Tensor offsets = points.unsqueeze(1) - clusters.centroids.unsqueeze(0);
  const torch::Tensor similarities = cluster_similarities(features, clusters);
  ASSERT_EQ(similarities.sizes(), (torch::IntArrayRef{2, 5, 4, 5}));
  // |x - c|^2 = 1 - 2 (<x, c> - |c|^2 / 2)
  const torch::Tensor expected = (1 - offsets.square().sum(2)) / 2;
  EXPECT_TRUE(similarities.permute({0, 2, 3, 1}).reshape({40, 5}).allclose(expected, 0, 1e-5));
}

TEST(DenseClusters, UpsampleSimilaritiesAndNotClusters) {
  const torch::Tensor features = hashed_features({2, 6, 4, 5});
  const DenseClusters clusters = fit_dense_clusters(features, KMeansOptions(4));
  const torch::Tensor upsampled = torch::upsample_bilinear2d(
      cluster_similarities(features, clusters), {16, 20}, /*align_corners=*/false);
  const torch::Tensor maps = dense_cluster_maps(features, clusters, 16, 20);
  EXPECT_TRUE(maps.equal(upsampled.argmax(1)));
  const torch::Tensor blocks =
      dense_cluster_maps(features, clusters, 4, 5).repeat_interleave(4, 1).repeat_interleave(4, 2);
  EXPECT_FALSE(maps.equal(blocks));
}

TEST(DenseClusters, FitOnASampleOfLargeSets) {
  const torch::Tensor features = hashed_features({2, 2, 100, 100});  // 20,000 positions
  const DenseClusters first = fit_dense_clusters(features, KMeansOptions(5).seed(1));
  const DenseClusters again = fit_dense_clusters(features, KMeansOptions(5).seed(1));
  EXPECT_TRUE(first.centroids.equal(again.centroids));
  EXPECT_TRUE(first.centroids.isfinite().all().item<bool>());
}

TEST(DenseClusters, TakeHalfPrecisionAndAFeatureAtTheMean) {
  const torch::Tensor features = planted_features();
  const DenseClusters clusters = fit_dense_clusters(features.to(torch::kHalf), KMeansOptions(3));
  EXPECT_EQ(
      score_of(dense_cluster_maps(features.to(torch::kHalf), clusters, 6, 8), planted_classes()),
      1.0);
  const torch::Tensor at_the_mean = clusters.mean.view({1, 5, 1, 1});
  EXPECT_TRUE(cluster_similarities(at_the_mean, clusters).isfinite().all().item<bool>());
}

TEST(DenseClusters, SayWhatIsWrong) {
  const torch::Tensor map = torch::zeros({4, 3, 3});
  EXPECT_EQ(error_text<c10::ValueError>(
                [] { fit_dense_clusters(std::vector<torch::Tensor>{}, KMeansOptions(2)); }),
            "fit_dense_clusters: expected at least one map");
  EXPECT_EQ(
      error_text<c10::ValueError>([&] {
        fit_dense_clusters(std::vector<torch::Tensor>{map, map.narrow(0, 0, 2)}, KMeansOptions(2));
      }),
      "fit_dense_clusters: expected maps [D,h,w] with one D, got [2, 3, 3] as map 1");
  EXPECT_EQ(error_text<c10::ValueError>([&] { fit_dense_clusters(map, KMeansOptions(2)); }),
            "fit_dense_clusters: expected maps [N,D,h,w], got [4, 3, 3]");
  EXPECT_EQ(error_text<c10::TypeError>(
                [&] { fit_dense_clusters(map.to(torch::kInt).unsqueeze(0), KMeansOptions(2)); }),
            "fit_dense_clusters: expected floating features, got Int");
  EXPECT_EQ(
      error_text<c10::ValueError>([&] { fit_dense_clusters(map.unsqueeze(0), KMeansOptions(10)); }),
      "fit_kmeans: expected at least as many points as clusters, 10, got 9");
  const DenseClusters clusters{torch::zeros({5}), torch::zeros({2, 5})};
  EXPECT_EQ(error_text<c10::ValueError>([&] { cluster_similarities(map.unsqueeze(0), clusters); }),
            "cluster_similarities: expected features [N,5,h,w], got [1, 4, 3, 3]");
}
