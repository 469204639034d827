#include <gtest/gtest.h>
#include <slotcon/train/grad_scaler.h>

#include <limits>

#include "tests/support/error_text.h"

namespace {

using slotcon::GradScaler;
using slotcon::GradScalerOptions;

TEST(GradScaler, StartsAndGrowsAsPyTorchDoes) {
  GradScaler scaler;
  EXPECT_EQ(scaler.scale(), 65536);
  for (int i = 0; i < 1999; ++i) scaler.update(true);
  EXPECT_EQ(scaler.scale(), 65536);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 131072);
  for (int i = 0; i < 2000; ++i) scaler.update(true);
  EXPECT_EQ(scaler.scale(), 262144);
}

TEST(GradScaler, OverflowHalvesTheScaleAndStartsTheCountAgain) {
  GradScaler scaler(GradScalerOptions().growth_interval(3));
  scaler.update(true);
  scaler.update(true);
  scaler.update(false);
  EXPECT_EQ(scaler.scale(), 32768);
  scaler.update(true);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 32768);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 65536);
}

TEST(GradScaler, DoesNotGrowPastFloat32) {
  GradScaler scaler(GradScalerOptions().initial_scale(0x1p127).growth_interval(1));
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 0x1p127);
  scaler.update(false);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 0x1p127);
}

TEST(GradScaler, GoesOnFromItsState) {
  const auto options = GradScalerOptions().growth_interval(3);
  GradScaler scaler(options), restored(options);
  scaler.update(false);
  scaler.update(true);
  scaler.update(true);
  restored.load_state(scaler.state());
  EXPECT_EQ(restored.scale(), 32768);
  restored.update(true);
  EXPECT_EQ(restored.scale(), 65536);
}

TEST(GradScaler, RejectsNumbersOutOfRange) {
  EXPECT_EQ(
      error_text<c10::ValueError>([] { GradScaler(GradScalerOptions().backoff_factor(1)); }),
      "GradScaler: expected initial_scale > 0, growth_factor > 1, backoff_factor in (0,1) and "
      "growth_interval >= 1, got 65536, 2, 1 and 2000");
}

}  // namespace
