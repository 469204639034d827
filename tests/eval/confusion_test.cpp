#include <gtest/gtest.h>
#include <slotcon/eval/confusion.h>

#include <cstdint>
#include <vector>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::eval::ConfusionMatrix;

namespace {

torch::Tensor hashed_ids(std::int64_t count, std::uint32_t modulus, std::uint32_t start) {
  std::vector<std::int64_t> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back(hashed(start + i) % modulus);
  return torch::tensor(ids);
}

}  // namespace

TEST(ConfusionMatrix, CountsClustersByClass) {
  ConfusionMatrix confusion(2, 3);
  confusion.add(torch::tensor({0, 0, 1, 1}).view({2, 2}), torch::tensor({2, 2, 0, 1}).view({2, 2}));
  EXPECT_TRUE(confusion.counts().equal(torch::tensor({0, 0, 2, 1, 1, 0}).view({2, 3})));
  EXPECT_EQ(confusion.counts().scalar_type(), torch::kLong);
}

TEST(ConfusionMatrix, EqualsALoopOverThePositions) {
  const torch::Tensor clusters = hashed_ids(3000, 7, 0).view({2, 30, 50});
  const torch::Tensor labels = hashed_ids(3000, 6, 5000).view({2, 30, 50});
  ConfusionMatrix confusion(7, 5);
  confusion.add(clusters, labels, 5);
  torch::Tensor expected = torch::zeros({7, 5}, torch::kLong);
  for (std::int64_t i = 0; i < 3000; ++i) {
    const auto label = labels.view(-1)[i].item<std::int64_t>();
    if (label != 5) expected[clusters.view(-1)[i].item<std::int64_t>()][label] += 1;
  }
  EXPECT_TRUE(confusion.counts().equal(expected));
  EXPECT_GT(expected.min().item<std::int64_t>(), 0);
}

TEST(ConfusionMatrix, SkipsIgnoredLabelsWhateverTheirCluster) {
  ConfusionMatrix confusion(2, 2);
  confusion.add(torch::tensor({0, 99, -3}), torch::tensor({1, 255, 255}), 255);
  EXPECT_TRUE(confusion.counts().equal(torch::tensor({0, 1, 0, 0}).view({2, 2})));
  confusion.add(torch::tensor({1}), torch::tensor({-1}), -1);
  EXPECT_EQ(confusion.counts().sum().item<std::int64_t>(), 1);
}

TEST(ConfusionMatrix, TakesIntegersOfAnyWidthInAnyLayout) {
  const torch::Tensor clusters = hashed_ids(12, 3, 0).view({3, 4});
  const torch::Tensor labels = hashed_ids(12, 4, 50).view({3, 4});
  ConfusionMatrix expected(3, 4);
  expected.add(clusters, labels);
  for (const auto type : {torch::kByte, torch::kChar, torch::kShort, torch::kInt}) {
    ConfusionMatrix confusion(3, 4);
    confusion.add(clusters.t().to(type), labels.t().to(torch::kByte));
    EXPECT_TRUE(confusion.counts().equal(expected.counts())) << type;
  }
}

TEST(ConfusionMatrix, TakesALabelMap) {
  slotcon::data::LabelMap labels(2, 3);
  labels.labels = {0, 1, 1, 11, 0, 1};
  ConfusionMatrix confusion(2, 2);
  confusion.add(torch::tensor({0, 0, 1, 1, 1, 1}).view({2, 3}), labels, 11);
  EXPECT_TRUE(confusion.counts().equal(torch::tensor({1, 1, 1, 2}).view({2, 2})));
}

TEST(ConfusionMatrix, AddsUpOverCallsAndByMerging) {
  const torch::Tensor clusters = hashed_ids(100, 3, 0);
  const torch::Tensor labels = hashed_ids(100, 4, 500);
  ConfusionMatrix whole(3, 4), stream(3, 4), other(3, 4);
  whole.add(clusters, labels);
  stream.add(clusters.narrow(0, 0, 30), labels.narrow(0, 0, 30));
  stream.add(clusters.narrow(0, 30, 0), labels.narrow(0, 30, 0));  // nothing
  other.add(clusters.narrow(0, 30, 70), labels.narrow(0, 30, 70));
  stream.merge(other);
  EXPECT_TRUE(stream.counts().equal(whole.counts()));
  EXPECT_EQ(whole.counts().sum().item<std::int64_t>(), 100);
}

TEST(ConfusionMatrix, HandsOutACopyOfItsCounts) {
  ConfusionMatrix confusion(1, 1);
  const torch::Tensor before = confusion.counts();
  confusion.add(torch::zeros({5}, torch::kLong), torch::zeros({5}, torch::kLong));
  EXPECT_EQ(before.item<std::int64_t>(), 0);
  EXPECT_EQ(confusion.counts().item<std::int64_t>(), 5);
}

TEST(ConfusionMatrix, SaysWhatIsWrong) {
  const torch::Tensor ids = torch::tensor({0, 1});
  ConfusionMatrix confusion(2, 2);
  EXPECT_EQ(error_text<c10::ValueError>([] { ConfusionMatrix(0, 3); }),
            "ConfusionMatrix: expected at least one cluster and one class, got 0 and 3");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              confusion.add(ids, ids.view({1, 2}));
            }),
            "ConfusionMatrix::add: expected clusters and labels of one shape, got [2] and [1, 2]");
  EXPECT_EQ(error_text<c10::TypeError>([&] { confusion.add(ids.to(torch::kFloat), ids); }),
            "ConfusionMatrix::add: expected integer clusters, got Float");
  EXPECT_EQ(error_text<c10::TypeError>([&] { confusion.add(ids, ids.to(torch::kBool)); }),
            "ConfusionMatrix::add: expected integer labels, got Bool");
  EXPECT_EQ(error_text<c10::ValueError>([&] { confusion.add(ids + 1, ids); }),
            "ConfusionMatrix::add: expected cluster ids 0 to 1, got 2");
  EXPECT_EQ(error_text<c10::ValueError>([&] { confusion.add(ids, ids * 255, 11); }),
            "ConfusionMatrix::add: expected labels 0 to 1, got 255");
  EXPECT_EQ(error_text<c10::ValueError>([&] { confusion.add(ids, ids - 1); }),
            "ConfusionMatrix::add: expected labels 0 to 1, got -1");
  EXPECT_EQ(error_text<c10::ValueError>([&] { confusion.merge(ConfusionMatrix(2, 3)); }),
            "ConfusionMatrix::merge: expected counts [2, 2], got [2, 3]");
  EXPECT_EQ(confusion.counts().sum().item<std::int64_t>(), 0);
}
