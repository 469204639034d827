#include <gtest/gtest.h>
#include <slotcon/eval/segmentation_score.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/eval/hashed.h"

using slotcon::eval::ConfusionMatrix;
using slotcon::eval::hungarian_score;
using slotcon::eval::majority_score;
using slotcon::eval::SegmentationScore;

namespace {

ConfusionMatrix with_counts(const torch::Tensor& counts) {
  ConfusionMatrix confusion(counts.size(0), counts.size(1));
  const torch::Tensor cells = torch::arange(counts.numel());
  const torch::Tensor positions = cells.repeat_interleave(counts.reshape(-1));
  confusion.add(positions.floor_divide(counts.size(1)), positions.remainder(counts.size(1)));
  return confusion;
}

torch::Tensor hashed_counts(std::int64_t clusters, std::int64_t classes) {
  std::vector<std::int64_t> counts;
  for (std::uint32_t i = 0; i < clusters * classes; ++i) counts.push_back(hashed(i) % 1000);
  return torch::tensor(counts).view({clusters, classes});
}

void expect_iou(const SegmentationScore& score, const std::vector<double>& expected) {
  ASSERT_EQ(score.class_iou.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(score.class_iou[i], expected[i], 1e-14) << "class " << i;
  }
}

using Ids = std::vector<std::int64_t>;

}  // namespace

TEST(HungarianScore, IsPerfectForRenumberedLabels) {
  const auto score =
      hungarian_score(with_counts(torch::tensor({0, 7, 0, 0, 0, 5, 3, 0, 0}).view({3, 3})));
  EXPECT_EQ(score.mean_iou, 1.0);
  EXPECT_EQ(score.pixel_accuracy, 1.0);
  EXPECT_EQ(score.class_of_cluster, (Ids{1, 2, 0}));
  expect_iou(score, {1.0, 1.0, 1.0});
}

TEST(HungarianScore, MaximisesTheSumOfIouAndNotOfPositions) {
  // By positions cluster 0 would take class 0, as 60 + 0 > 50 + 5; by IoU 60/115 < 50/110 + 5/65.
  const auto score = hungarian_score(with_counts(torch::tensor({60, 50, 5, 0}).view({2, 2})));
  EXPECT_EQ(score.class_of_cluster, (Ids{1, 0}));
  expect_iou(score, {5.0 / 65.0, 50.0 / 110.0});
  EXPECT_DOUBLE_EQ(score.pixel_accuracy, 55.0 / 115.0);
}

TEST(HungarianScore, MaximisesPositionsWhereAsked) {
  // 60 + 0 > 50 + 5; the pair without a position is no match.
  const auto score = hungarian_score(with_counts(torch::tensor({60, 50, 5, 0}).view({2, 2})),
                                     slotcon::eval::Matching::kPositions);
  EXPECT_EQ(score.class_of_cluster, (Ids{0, -1}));
  expect_iou(score, {60.0 / 115.0, 0.0});
  EXPECT_DOUBLE_EQ(score.pixel_accuracy, 60.0 / 115.0);
}

TEST(LabelledScore, TakesClustersAsClasses) {
  const auto score =
      slotcon::eval::labelled_score(with_counts(torch::tensor({6, 2, 1, 3}).view({2, 2})));
  expect_iou(score, {6.0 / 9.0, 3.0 / 6.0});
  EXPECT_DOUBLE_EQ(score.pixel_accuracy, 9.0 / 12.0);
  EXPECT_THROW(slotcon::eval::labelled_score(ConfusionMatrix(3, 2)), c10::ValueError);
}

TEST(HungarianScore, CountsUnmatchedClustersAsErrors) {
  // Cluster 2 is one too many: its 4 positions of class 0 are missed there.
  const auto score = hungarian_score(with_counts(torch::tensor({6, 0, 0, 10, 4, 0}).view({3, 2})));
  EXPECT_EQ(score.class_of_cluster, (Ids{0, 1, -1}));
  expect_iou(score, {0.6, 1.0});
  EXPECT_DOUBLE_EQ(score.mean_iou, 0.8);
  EXPECT_DOUBLE_EQ(score.pixel_accuracy, 0.8);
}

TEST(HungarianScore, GivesZeroToAClassWithoutACluster) {
  const auto score = hungarian_score(with_counts(torch::tensor({8, 2}).view({1, 2})));
  expect_iou(score, {0.8, 0.0});
  EXPECT_DOUBLE_EQ(score.mean_iou, 0.4);
}

TEST(HungarianScore, LeavesOutAClassThatDoesNotOccur) {
  // Cluster 1 has only class 2 to take, of which there is nothing.
  const auto counts = torch::tensor({5, 0, 0, 3, 0, 0, 0, 4, 0}).view({3, 3});
  const auto score = hungarian_score(with_counts(counts));
  EXPECT_EQ(score.class_of_cluster, (Ids{0, -1, 1}));
  EXPECT_TRUE(std::isnan(score.class_iou[2]));
  EXPECT_DOUBLE_EQ(score.mean_iou, (5.0 / 8.0 + 1.0) / 2.0);
}

TEST(HungarianScore, OfNothingIsNaN) {
  const auto score = hungarian_score(ConfusionMatrix(2, 2));
  EXPECT_TRUE(std::isnan(score.mean_iou));
  EXPECT_TRUE(std::isnan(score.pixel_accuracy));
  EXPECT_EQ(score.class_of_cluster, (Ids{-1, -1}));
}

TEST(MajorityScore, GivesEachClusterItsMostFrequentClass) {
  const auto score =
      majority_score(with_counts(torch::tensor({6, 1, 0, 10, 4, 0, 0, 0}).view({4, 2})));
  EXPECT_EQ(score.class_of_cluster, (Ids{0, 1, 0, -1}));
  expect_iou(score, {10.0 / 11.0, 10.0 / 11.0});
  EXPECT_DOUBLE_EQ(score.pixel_accuracy, 20.0 / 21.0);
}

TEST(MajorityScore, GivesEqualCountsToTheLowerClass) {
  EXPECT_EQ(majority_score(with_counts(torch::tensor({0, 3, 3}).view({1, 3}))).class_of_cluster,
            (Ids{1}));
}

TEST(SegmentationScore, EqualsNumpyAndScipy) {
  struct Case {
    std::int64_t clusters, classes;
    double hungarian_mean, hungarian_accuracy, majority_mean, majority_accuracy;
  };
  // From generate_segmentation_score.py.
  const Case cases[] = {
      {3, 3, 0.3732040512647683, 0.5354810622551154, 0.2989401075572618, 0.5376578145407053},
      {6, 4, 0.1606704934979763, 0.2210566960550872, 0.16821004608522597, 0.3332904305296351},
      {4, 6, 0.1117497087098364, 0.23025934744835574, 0.11031871971092781, 0.23051676427054507},
      {27, 11, 0.055925343549967706, 0.07333296609469249, 0.08874076564807343, 0.1694025945409976},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.clusters) + " x " + std::to_string(c.classes));
    const ConfusionMatrix confusion = with_counts(hashed_counts(c.clusters, c.classes));
    EXPECT_NEAR(hungarian_score(confusion).mean_iou, c.hungarian_mean, 1e-14);
    EXPECT_NEAR(hungarian_score(confusion).pixel_accuracy, c.hungarian_accuracy, 1e-14);
    EXPECT_NEAR(majority_score(confusion).mean_iou, c.majority_mean, 1e-14);
    EXPECT_NEAR(majority_score(confusion).pixel_accuracy, c.majority_accuracy, 1e-14);
  }
  expect_iou(hungarian_score(with_counts(hashed_counts(4, 6))),
             {0.16310213871677, 0.181438310974269, 0, 0, 0.162056010928962, 0.163901791639018});
  expect_iou(majority_score(with_counts(hashed_counts(6, 4))),
             {0.274767968918627, 0, 0.168421052631579, 0.229651162790698});
}

TEST(SegmentationScore, DoesNotDependOnTheNumberingOfClusters) {
  torch::Tensor counts = hashed_counts(9, 5);
  counts.select(1, 3).zero_();  // a class that does not occur
  const torch::Tensor order = torch::tensor({3, 0, 8, 1, 7, 2, 6, 4, 5});
  const torch::Tensor renumbered = counts.index_select(0, order);
  const auto scores = [](const torch::Tensor& matrix) {
    const auto confusion = with_counts(matrix);
    return std::vector{hungarian_score(confusion),
                       hungarian_score(confusion, slotcon::eval::Matching::kPositions),
                       majority_score(confusion)};
  };
  for (std::size_t kind = 0; kind < 3; ++kind) {
    const SegmentationScore first = scores(counts)[kind], second = scores(renumbered)[kind];
    EXPECT_DOUBLE_EQ(first.mean_iou, second.mean_iou);
    EXPECT_DOUBLE_EQ(first.pixel_accuracy, second.pixel_accuracy);
    for (std::size_t i = 0; i < 9; ++i) {
      const auto from =
          static_cast<std::size_t>(order[static_cast<std::int64_t>(i)].item<std::int64_t>());
      EXPECT_EQ(second.class_of_cluster[i], first.class_of_cluster[from]);
    }
  }
}
