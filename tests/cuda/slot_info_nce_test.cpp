// The CUDA kernels of slot InfoNCE on a GPU.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/cuda/gpu.h"
#include "tests/cuda/slot_info_nce_cases.h"

using slotcon::testing::name_of;
using slotcon::testing::slot_info_nce::Case;
using slotcon::testing::slot_info_nce::equal;
using slotcon::testing::slot_info_nce::fused;
using slotcon::testing::slot_info_nce::Judge;
using slotcon::testing::slot_info_nce::kArithmetics;
using slotcon::testing::slot_info_nce::Sizes;

namespace {

constexpr Sizes kSizes[] = {{1, 1, 1},       {63, 65, 33},     {64, 64, 64},    {70, 129, 129},
                            {257, 1000, 77}, {2500, 700, 256}, {5, 20000, 256}, {40, 50, 1024}};

class SlotInfoNCEGpu : public slotcon::testing::GpuTest {};

}  // namespace

TEST_F(SlotInfoNCEGpu, IsAsExactAsTheReference) {
  for (const auto& sizes : kSizes) {
    for (const auto arithmetic : kArithmetics) {
      const Case c(sizes, arithmetic);
      EXPECT_TRUE(Judge(c).as_exact_as_the_reference(fused(c, at::kCUDA)))
          << sizes << " " << name_of(arithmetic);
    }
  }
}

TEST_F(SlotInfoNCEGpu, RowsBeyondTheCountsAreNotRead) {
  for (const auto arithmetic : kArithmetics) {
    Case c({65, 90, 40}, arithmetic);
    c.spare = 1000;
    EXPECT_TRUE(Judge(c).as_exact_as_the_reference(fused(c, at::kCUDA))) << name_of(arithmetic);
  }
}

TEST_F(SlotInfoNCEGpu, RunsGiveTheSameBits) {
  for (const auto arithmetic : kArithmetics) {
    const Case c({700, 900, 256}, arithmetic);
    const auto first = fused(c, at::kCUDA);
    for (int repeat = 0; repeat < 20; ++repeat) {
      EXPECT_TRUE(equal(fused(c, at::kCUDA), first)) << name_of(arithmetic);
    }
  }
}
