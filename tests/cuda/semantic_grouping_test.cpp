// The CUDA kernels of semantic grouping on a GPU.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "tests/cuda/gpu.h"
#include "tests/cuda/semantic_grouping_cases.h"

using slotcon::testing::close;
using slotcon::testing::semantic_grouping::Case;
using slotcon::testing::semantic_grouping::fused;
using slotcon::testing::semantic_grouping::Judge;
using slotcon::testing::semantic_grouping::kNames;
using slotcon::testing::semantic_grouping::kWays;
using slotcon::testing::semantic_grouping::Sizes;

namespace {

constexpr Sizes kSizes[] = {{1, 1, 1, 1},      {3, 7, 33, 49},    {2, 130, 20, 7},
                            {2, 256, 256, 49}, {1, 300, 33, 196}, {1, 2048, 64, 196},
                            {1, 1025, 33, 7},  {9, 17, 20, 10}};

class SemanticGroupingGpu : public slotcon::testing::GpuTest {};

}  // namespace

TEST_F(SemanticGroupingGpu, IsAsExactAsTheReference) {
  for (const auto& sizes : kSizes) {
    for (const auto& way : kWays) {
      const Case c(sizes, way);
      EXPECT_TRUE(Judge(c).as_exact_as_the_reference(fused(c, at::kCUDA))) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingGpu, OneOutputUsedGivesItsGradientAlone) {
  for (const auto& way : kWays) {
    Case slots({2, 37, 40, 61}, way), scores({2, 37, 40, 61}, way);
    slots.grad_scores.reset();
    scores.grad_slots.reset();
    EXPECT_TRUE(Judge(slots).as_exact_as_the_reference(fused(slots, at::kCUDA))) << way;
    EXPECT_TRUE(Judge(scores).as_exact_as_the_reference(fused(scores, at::kCUDA))) << way;
  }
}

TEST_F(SemanticGroupingGpu, RunsGiveTheSameBits) {
  for (const auto& way : kWays) {
    const Case c({4, 1028, 64, 49}, way);
    const auto first = fused(c, at::kCUDA);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto results = fused(c, at::kCUDA);
      for (std::size_t i = 0; i < first.size(); ++i)
        EXPECT_TRUE(at::equal(results[i], first[i])) << kNames[i];
    }
  }
}

TEST_F(SemanticGroupingGpu, NothingGivesZeros) {
  for (const auto& way : kWays) {
    for (const auto& sizes : {Sizes{0, 5, 3, 4}, Sizes{2, 5, 3, 0}}) {
      const Case c(sizes, way);
      const auto results = fused(c, at::kCUDA);
      EXPECT_TRUE(at::equal(results[0].cpu(), at::zeros_like(c.grad_slots, c.type))) << sizes;
      EXPECT_TRUE(at::equal(results[3].cpu(), at::zeros_like(c.prototypes))) << sizes;
    }
  }
}
