// The CUDA kernels of the assignment distillation on a GPU.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/cuda/aligned_assignment_cases.h"
#include "tests/cuda/gpu.h"

using slotcon::testing::aligned_assignment::Case;
using slotcon::testing::aligned_assignment::equal;
using slotcon::testing::aligned_assignment::fused;
using slotcon::testing::aligned_assignment::Judge;
using slotcon::testing::aligned_assignment::Sizes;

namespace {

constexpr Sizes kSizes[] = {{1, 1, 1, 1},     {3, 7, 3, 5},     {2, 130, 7, 1},  {64, 256, 7, 7},
                            {2, 512, 14, 14}, {2, 513, 14, 14}, {4, 2048, 7, 7}, {2, 2048, 28, 28}};

class AlignedAssignmentGpu : public slotcon::testing::GpuTest {};

}  // namespace

TEST_F(AlignedAssignmentGpu, IsAsExactAsTheReference) {
  for (const auto& sizes : kSizes) {
    const Case c(sizes);
    EXPECT_TRUE(Judge(c).as_exact_as_the_reference(fused(c, at::kCUDA))) << sizes;
  }
}

TEST_F(AlignedAssignmentGpu, RunsGiveTheSameBits) {
  const Case c({16, 1028, 14, 14});
  const auto first = fused(c, at::kCUDA);
  for (int repeat = 0; repeat < 20; ++repeat) EXPECT_TRUE(equal(fused(c, at::kCUDA), first));
}

TEST_F(AlignedAssignmentGpu, ViewsThatShareNothingHaveNoGradient) {
  Case c({2, 37, 4, 5});
  c.student.boxes.zero_();
  const auto results = fused(c, at::kCUDA);
  EXPECT_TRUE(Judge(c).as_exact_as_the_reference(results));
  EXPECT_EQ(results.gradient.abs().max().item<float>(), 0);
}
