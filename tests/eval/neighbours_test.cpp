#include <gtest/gtest.h>
#include <slotcon/eval/neighbours.h>

#include <cstdint>
#include <vector>

#include "tests/eval/labelled_features.h"
#include "tests/support/error_text.h"

using slotcon::eval::nearest_neighbours;
using slotcon::eval::neighbour_precision;
using slotcon::eval::Neighbours;
using slotcon::eval::weighted_vote;

namespace {

torch::Tensor ids(const std::vector<std::int64_t>& values) { return torch::tensor(values); }

}  // namespace

TEST(NearestNeighbours, AreThoseOfScikitLearn) {
  const auto features = labelled_features();
  const auto found = nearest_neighbours(features.slice(0, 40), features.slice(0, 0, 40), 7);
  // From generate_probe.py.
  EXPECT_TRUE(found.indices[0].equal(ids({34, 7, 33, 4, 2, 36, 14})));
  EXPECT_EQ((found.indices * torch::arange(1, 8)).sum().item<std::int64_t>(), 11431);
  EXPECT_NEAR(found.cosines.sum().item<double>(), 90.48663404396156, 1e-12);
  EXPECT_TRUE(weighted_vote(found, labelled_classes().slice(0, 0, 40), 3)
                  .equal(ids({1, 2, 0, 0, 2, 0, 0, 1, 1, 0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 2})));
}

TEST(NearestNeighbours, LeaveOutTheQueryWhereItIsOfTheSet) {
  const auto features = labelled_features();
  const auto with = nearest_neighbours(features, features, 4);
  const auto without = nearest_neighbours(features, features, 3, /*leave_one_out=*/true);
  EXPECT_TRUE(with.indices.select(1, 0).equal(torch::arange(60)));
  EXPECT_TRUE(with.indices.slice(1, 1).equal(without.indices));
}

TEST(NearestNeighbours, TakeTheLowerOfEqualOnesAndIgnoreLengths) {
  const auto set = torch::tensor({{1.0, 0.0}, {0.0, 5.0}, {3.0, 0.0}, {0.0, 0.0}});
  const auto found = nearest_neighbours(torch::tensor({{2.0, 0.0}}), set, 4);
  EXPECT_TRUE(found.indices.equal(torch::tensor({{0, 2, 1, 3}})));
  EXPECT_TRUE(found.cosines.equal(torch::tensor({{1.0, 1.0, 0.0, 0.0}})));
}

TEST(WeightedVote, LetsANearOneOutvoteTwoFarOnes) {
  const Neighbours neighbours{torch::tensor({{0, 1, 2}}), torch::tensor({{0.9, 0.5, 0.5}})};
  const auto classes = ids({2, 1, 1});
  EXPECT_EQ(weighted_vote(neighbours, classes, 3, 0.07).item<std::int64_t>(), 2);
  EXPECT_EQ(weighted_vote(neighbours, classes, 3, 10).item<std::int64_t>(), 1);
  EXPECT_EQ(weighted_vote(neighbours, classes, 3, 1e-6).item<std::int64_t>(), 2);
}

TEST(NeighbourPrecision, IsTheShareOfTheQuerysClass) {
  const Neighbours neighbours{torch::tensor({{0, 1}, {2, 0}}), torch::zeros({2, 2})};
  EXPECT_DOUBLE_EQ(neighbour_precision(neighbours, ids({7, 8}), ids({7, 8, 8})), 2.0 / 4.0);
}

TEST(NearestNeighbours, RefuseWhatMakesNoSense) {
  const auto set = torch::rand({5, 3});
  const auto error = [&](const torch::Tensor& queries, std::int64_t k, bool leave_one_out) {
    return error_text<c10::ValueError>([&] { nearest_neighbours(queries, set, k, leave_one_out); });
  };
  EXPECT_EQ(error(set, 6, false), "nearest_neighbours: expected k in 1 ... 5, got 6");
  EXPECT_EQ(error(set, 5, true), "nearest_neighbours: expected k in 1 ... 4, got 5");
  EXPECT_EQ(error(torch::rand({5, 2}), 1, false),
            "nearest_neighbours: expected queries like the set of [5, 3], got [5, 2]");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              weighted_vote(nearest_neighbours(set, set, 1), ids({0, 0, 0, 0, 0}), 1, 0);
            }),
            "weighted_vote: expected a positive temperature, got 0");
}
