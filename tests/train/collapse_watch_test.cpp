#include <gtest/gtest.h>
#include <slotcon/train/collapse_watch.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"

namespace {

using slotcon::Collapse;
using slotcon::CollapseSigns;
using slotcon::CollapseWatch;
using slotcon::CollapseWatchOptions;

using Kinds = std::vector<Collapse>;

constexpr std::int64_t kPrototypes = 16;
constexpr std::int64_t kPositions = 2048;
const double kLogK = std::log(16.0);

const CollapseSigns kHealthy{1.5, 5, kPositions};
const CollapseSigns kUniform{kLogK, 5, kPositions};
const CollapseSigns kOneHot{0, 5, kPositions};
const CollapseSigns kDead{1.5, 15, kPositions};

CollapseWatch watch(std::int64_t first_step = 0, std::int64_t patience = 100) {
  return CollapseWatch(CollapseWatchOptions(kPrototypes, first_step).patience(patience));
}

/// What the watch says while it is shown the same signs at steps begin, begin + 10, ... < end.
Kinds show(CollapseWatch& watch, const CollapseSigns& signs, std::int64_t begin, std::int64_t end) {
  Kinds all;
  for (auto step = begin; step < end; step += 10) {
    for (const auto kind : watch.observe(step, signs)) all.push_back(kind);
  }
  return all;
}

TEST(CollapseWatch, TellsOfEachKindOnceWhenItHasLasted) {
  for (const auto& [signs, kind] :
       {std::pair{kUniform, Collapse::kUniform}, std::pair{kOneHot, Collapse::kOneHot},
        std::pair{kDead, Collapse::kDead}}) {
    auto one = watch();
    EXPECT_EQ(show(one, signs, 0, 100), Kinds{}) << name_of(kind);
    EXPECT_EQ(one.observe(100, signs), Kinds{kind}) << name_of(kind);
    EXPECT_EQ(show(one, signs, 110, 1000), Kinds{}) << name_of(kind);
    EXPECT_EQ(show(one, kHealthy, 1000, 2000), Kinds{}) << name_of(kind);
    EXPECT_EQ(show(one, signs, 2000, 3000), Kinds{}) << name_of(kind);
  }
}

TEST(CollapseWatch, TellsOfSeveralKinds) {
  auto one = watch();
  EXPECT_EQ(show(one, {kLogK, 15, kPositions}, 0, 101),
            (Kinds{Collapse::kUniform, Collapse::kDead}));
  EXPECT_EQ(show(one, kOneHot, 110, 300), Kinds{Collapse::kOneHot});
}

TEST(CollapseWatch, AGoodStepStartsThePatienceAnew) {
  auto one = watch();
  EXPECT_EQ(show(one, kUniform, 0, 100), Kinds{});
  EXPECT_EQ(one.observe(100, kHealthy), Kinds{});
  EXPECT_EQ(show(one, kUniform, 110, 210), Kinds{});
  EXPECT_EQ(one.observe(210, kUniform), Kinds{Collapse::kUniform});
}

TEST(CollapseWatch, LeavesTheWarmUpOut) {
  auto one = watch(/*first_step=*/500);
  EXPECT_EQ(show(one, kUniform, 0, 600), Kinds{});
  EXPECT_EQ(one.observe(600, kUniform), Kinds{Collapse::kUniform});
}

TEST(CollapseWatch, SitsOutTheMeasuredPlateauAndTheFewestWinnersOfHealthyRuns) {
  auto one = watch(/*first_step=*/0, /*patience=*/1);
  EXPECT_EQ(show(one, {2.647, 11, kPositions}, 0, 1000), Kinds{});
}

TEST(CollapseWatch, BoundsAreAsDocumented) {
  const auto told = [](const CollapseSigns& signs, std::int64_t prototypes) {
    CollapseWatch one(CollapseWatchOptions(prototypes, 0).patience(1));
    return show(one, signs, 0, 100);
  };
  EXPECT_EQ(told({0.9901 * std::log(256.0), 0, 9999}, 256), Kinds{Collapse::kUniform});
  EXPECT_EQ(told({0.9899 * std::log(256.0), 0, 9999}, 256), Kinds{});
  EXPECT_EQ(told({0.0099 * std::log(256.0), 0, 9999}, 256), Kinds{Collapse::kOneHot});
  EXPECT_EQ(told({0.0101 * std::log(256.0), 0, 9999}, 256), Kinds{});
  EXPECT_EQ(told({1, 256 - 25, 9999}, 256), Kinds{Collapse::kDead});
  EXPECT_EQ(told({1, 256 - 26, 9999}, 256), Kinds{});
  EXPECT_EQ(told({1, 2048 - 79, 784}, 2048), Kinds{});  // 784 positions cannot have more winners
  EXPECT_EQ(told({1, 2048 - 78, 784}, 2048), Kinds{Collapse::kDead});
  EXPECT_EQ(told({1, 3, 9999}, 4), Kinds{Collapse::kDead});  // one takes everything
  EXPECT_EQ(told({0, 0, 9999}, 1), Kinds{});                 // as one alone must
}

TEST(CollapseWatch, WhatIsNotFiniteIsNoSign) {
  constexpr auto kNaN = std::numeric_limits<double>::quiet_NaN();
  auto one = watch();
  EXPECT_EQ(show(one, {kNaN, kNaN, kPositions}, 0, 1000), Kinds{});
}

TEST(CollapseWatch, GoesOnFromItsState) {
  auto one = watch();
  show(one, kUniform, 0, 60);
  auto restored = watch();
  restored.load_state(one.state());
  EXPECT_EQ(show(restored, kUniform, 60, 100), Kinds{});
  EXPECT_EQ(restored.observe(100, kUniform), Kinds{Collapse::kUniform});
  auto told = watch();
  told.load_state(restored.state());
  EXPECT_EQ(show(told, kUniform, 110, 1000), Kinds{});
}

TEST(CollapseWatch, SaysWhatItMeansAndWhatToChange) {
  EXPECT_STREQ(name_of(Collapse::kUniform), "uniform");
  EXPECT_STREQ(name_of(Collapse::kOneHot), "one-hot");
  EXPECT_STREQ(name_of(Collapse::kDead), "dead prototypes");
  EXPECT_NE(std::string(advice_on(Collapse::kUniform)).find("entropy sits at ln K"),
            std::string::npos);
  EXPECT_NE(std::string(advice_on(Collapse::kOneHot)).find("centre momentum"), std::string::npos);
  EXPECT_NE(std::string(advice_on(Collapse::kDead)).find("fewer prototypes"), std::string::npos);
}

TEST(CollapseWatch, RejectsNumbersOutOfRange) {
  EXPECT_EQ(
      error_text<c10::ValueError>([] { watch(0, 0); }),
      "CollapseWatch: expected num_prototypes >= 1, first_step >= 0 and patience >= 1, got 16, "
      "0 and 0");
}

}  // namespace
