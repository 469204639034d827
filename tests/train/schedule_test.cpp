#include <gtest/gtest.h>
#include <slotcon/train/schedule.h>

#include <cmath>

#include "tests/support/error_text.h"

namespace {

using slotcon::LearningRateSchedule;
using slotcon::teacher_momentum;

// The published recipe on 231 batches an epoch: base rate 2, 5 warm-up epochs.
const LearningRateSchedule kPublished{2.0, 231, 800, 5};

TEST(LearningRateSchedule, WarmsUpLinearlyFromAHundredth) {
  EXPECT_DOUBLE_EQ(kPublished.at(0), 0.02);
  EXPECT_DOUBLE_EQ(kPublished.at(5 * 231), 2.0);
  // Halfway: the mean of the ends, as the warm-up is a straight line.
  EXPECT_NEAR(LearningRateSchedule({2.0, 10, 10, 2}).at(10), (0.02 + 2.0) / 2, 1e-15);
}

TEST(LearningRateSchedule, FallsAlongAHalfCosineToTheFinalRate) {
  const auto middle = (5 + 795 / 2.0) * 231;
  EXPECT_NEAR(kPublished.at(static_cast<std::int64_t>(middle)), (2.0 + 1e-6) / 2, 1e-4);
  EXPECT_GT(kPublished.at(800 * 231 - 1), 1e-6);
  EXPECT_NEAR(kPublished.at(800 * 231 - 1), 1e-6, 1e-9);
  for (std::int64_t step = 5 * 231; step < 800 * 231; step += 997) {
    EXPECT_GT(kPublished.at(step), kPublished.at(step + 997));
  }
}

TEST(LearningRateSchedule, KeepsTheFinalRatePastTheEnd) {
  EXPECT_DOUBLE_EQ(kPublished.at(800 * 231), 1e-6);
  EXPECT_DOUBLE_EQ(kPublished.at(900 * 231), 1e-6);
}

TEST(LearningRateSchedule, IsACosineAloneWithoutWarmUp) {
  const LearningRateSchedule schedule{1.0, 10, 4, 0};
  EXPECT_DOUBLE_EQ(schedule.at(0), 1.0);
  EXPECT_NEAR(schedule.at(10), 1e-6 + (1 - 1e-6) * (1 + std::sqrt(0.5)) / 2, 1e-15);
  EXPECT_NEAR(schedule.at(20), (1 + 1e-6) / 2, 1e-15);
}

TEST(LearningRateSchedule, MayWarmUpToTheVeryEnd) {
  const LearningRateSchedule schedule{1.0, 10, 2, 2};
  EXPECT_NO_THROW(schedule.check());
  EXPECT_DOUBLE_EQ(schedule.at(20), 1.0);
  EXPECT_DOUBLE_EQ(schedule.at(21), 1e-6);
}

TEST(LearningRateSchedule, RejectsNumbersThatMakeNoSchedule) {
  const auto checked = [](LearningRateSchedule schedule) {
    return error_text<c10::ValueError>([&] { schedule.check(); });
  };
  EXPECT_EQ(checked({0.0, 10, 2, 1}),
            "LearningRateSchedule: expected base_rate > 0, steps_per_epoch >= 1 and epochs >= 1, "
            "got 0, 10 and 2");
  EXPECT_EQ(checked({1.0, 10, 2, 3}),
            "LearningRateSchedule: expected warmup_epochs in [0, 2], got 3");
  EXPECT_EQ(checked({1.0, 10, 2, 1, 1.0}),
            "LearningRateSchedule: expected warmup_multiplier > 1, got 1");
}

TEST(TeacherMomentum, RisesFromItsBaseToOne) {
  EXPECT_DOUBLE_EQ(teacher_momentum(0, 100), 0.99);
  EXPECT_DOUBLE_EQ(teacher_momentum(50, 100), 0.995);
  EXPECT_DOUBLE_EQ(teacher_momentum(100, 100), 1.0);
  EXPECT_DOUBLE_EQ(teacher_momentum(25, 100, 0.9), 1 - 0.1 * (std::sqrt(0.5) + 1) / 2);
}

TEST(TeacherMomentum, StaysAtOnePastTheEnd) { EXPECT_DOUBLE_EQ(teacher_momentum(130, 100), 1.0); }

TEST(TeacherMomentum, RejectsWhatIsNoSchedule) {
  EXPECT_EQ(error_text<c10::ValueError>([] { teacher_momentum(0, 0); }),
            "teacher_momentum: expected total_steps >= 1 and base in [0,1], got 0 and 0.99");
  EXPECT_EQ(error_text<c10::ValueError>([] { teacher_momentum(0, 1, 1.5); }),
            "teacher_momentum: expected total_steps >= 1 and base in [0,1], got 1 and 1.5");
}

}  // namespace
