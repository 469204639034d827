#include <gtest/gtest.h>
#include <slotcon/eval/label_shares.h>
#include <slotcon/eval/linear_probe.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/eval/labelled_features.h"
#include "tests/support/error_text.h"

using slotcon::eval::fit_linear_probe;
using slotcon::eval::label_shares;
using slotcon::eval::LinearProbeOptions;
using slotcon::eval::one_hot_targets;

namespace {

double log_loss(const torch::Tensor& logits, const torch::Tensor& targets) {
  return -(targets * logits.log_softmax(1)).sum().item<double>() / targets.sum().item<double>();
}

}  // namespace

TEST(LinearProbe, IsTheLogisticRegressionOfScikitLearn) {
  struct Case {
    double penalty, loss;
    std::vector<double> first_row;
  };
  // From generate_probe.py.
  const Case cases[] = {
      {1e-1, 0.5610140829482241, {0.2920436255997374, 0.6387176357384802, 0.06923873866178235}},
      {1e-3,
       0.43112853657052336,
       {0.22756247832743212, 0.7710784795440547, 0.0013590421285132024}}};
  const auto features = labelled_features();
  const auto targets = one_hot_targets(labelled_classes(), 3);
  for (const auto& c : cases) {
    const auto probe = fit_linear_probe(features, targets, LinearProbeOptions().penalty(c.penalty));
    const auto logits = probe.logits(features);
    EXPECT_NEAR(log_loss(logits, targets), c.loss, 1e-7);
    const auto first = logits[0].softmax(0);
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(first[i].item<double>(), c.first_row[static_cast<std::size_t>(i)], 1e-5);
    }
  }
}

TEST(LinearProbe, TakesSharesAsSoManyExamples) {
  const auto features = labelled_features();
  const auto targets = one_hot_targets(labelled_classes(), 3);
  auto shares = targets.clone();
  shares[0] = torch::tensor({0.5, 0.25, 0.25}, torch::kDouble);
  shares[1].zero_();
  // The same as four examples of everything, of the first row two, one and one, of the second none.
  const auto rest = features.slice(0, 2).repeat({4, 1});
  const auto four = torch::cat({features.slice(0, 0, 1).repeat({4, 1}), rest});
  const auto classes =
      torch::cat({torch::tensor({0, 0, 1, 2}), labelled_classes().slice(0, 2).repeat({4})});
  // Standardised alike: both sets get a copy of the second row that does not count.
  const auto all = torch::cat({four, features.slice(0, 1, 2).repeat({4, 1})});
  const auto counted =
      torch::cat({one_hot_targets(classes, 3), torch::zeros({4, 3}, torch::kDouble)});
  const auto options = LinearProbeOptions().penalty(1e-2);
  const auto by_shares = fit_linear_probe(features, shares, options);
  const auto by_examples = fit_linear_probe(all, counted, options);
  EXPECT_TRUE(by_shares.weight.allclose(by_examples.weight, 1e-4, 1e-5));
  EXPECT_TRUE(by_shares.bias.allclose(by_examples.bias, 1e-4, 1e-5));
}

TEST(LinearProbe, GivesAConstantChannelNoWeightAndTakesMaps) {
  const auto features =
      torch::cat({labelled_features(), torch::full({60, 1}, 7.0, torch::kDouble)}, 1);
  const auto probe = fit_linear_probe(features, one_hot_targets(labelled_classes(), 3));
  EXPECT_EQ(probe.weight.select(1, 5).abs().max().item<double>(), 0);
  const auto maps = features.view({2, 5, 6, 6}).permute({0, 3, 1, 2});
  const auto logits = probe.logits(maps);
  EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{2, 3, 5, 6}));
  EXPECT_TRUE(logits.permute({0, 2, 3, 1}).reshape({60, 3}).allclose(probe.logits(features)));
}

TEST(LinearProbe, RefusesWhatMakesNoSense) {
  const auto features = torch::rand({4, 2});
  const auto targets = one_hot_targets(torch::tensor({0, 1, 0, 1}), 2);
  const auto error = [](const torch::Tensor& x, const torch::Tensor& t) {
    return error_text<c10::ValueError>([&] { fit_linear_probe(x, t); });
  };
  EXPECT_EQ(error(features, targets.slice(0, 1)),
            "fit_linear_probe: expected features [N,D] and targets [N,C], N >= 1, C >= 2, got "
            "[4, 2] and [3, 2]");
  EXPECT_EQ(error(features / 0, targets), "fit_linear_probe: expected finite features");
  EXPECT_EQ(error(features, 0 * targets),
            "fit_linear_probe: expected targets >= 0, some of them positive");
}

TEST(LabelShares, CountTheClassesOfEachCell) {
  slotcon::data::LabelMap map(2, 5);
  map.labels = {0, 0, 1, 1, 1, 0, 1, 1, 255, 9};
  const auto shares = label_shares(map, 2, 1, 2);
  // Columns 0 ... 2 and 2 ... 4: cells of an odd width overlap.
  EXPECT_TRUE(shares.allclose(
      torch::tensor({3.0 / 6, 0.0, 3.0 / 6, 4.0 / 6}, torch::kDouble).view({2, 1, 2})));
}
