// The CUDA kernels of semantic grouping on a GPU.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <vector>

#include "tests/cuda/gpu.h"
#include "tests/cuda/semantic_grouping_cases.h"

using slotcon::testing::semantic_grouping::Case;
using slotcon::testing::semantic_grouping::fused;
using slotcon::testing::semantic_grouping::Judge;
using slotcon::testing::semantic_grouping::kNames;
using slotcon::testing::semantic_grouping::kTypes;
using slotcon::testing::semantic_grouping::kWays;
using slotcon::testing::semantic_grouping::Sizes;
using slotcon::testing::semantic_grouping::Way;

namespace grouping = slotcon::kernel::semantic_grouping;

namespace {

constexpr Sizes kSizes[] = {
    {1, 1, 1, 1},       {3, 7, 33, 49},   {2, 130, 20, 7}, {2, 256, 256, 49},   {1, 300, 33, 196},
    {1, 2048, 64, 196}, {1, 1025, 33, 7}, {9, 17, 20, 10}, {4, 2048, 256, 196}, {1, 513, 8, 4480}};

class SemanticGroupingGpu : public slotcon::testing::GpuTest {};

/// The ways that this GPU has.
std::vector<Way> ways() {
  std::vector<Way> ways;
  for (const auto& way : kWays) {
    const bool tiles = way.plan == grouping::CudaPlan::kTiles;
    if (!tiles || slotcon::kernel::cuda::kernels().has_tensor_cores(0)) ways.push_back(way);
  }
  return ways;
}

}  // namespace

TEST_F(SemanticGroupingGpu, IsAsExactAsTheReference) {
  for (const auto& sizes : kSizes) {
    for (const auto& way : ways()) {
      const Case c(sizes, way);
      EXPECT_TRUE(Judge(c).as_exact_as_the_reference(fused(c, at::kCUDA))) << sizes << " " << way;
    }
  }
}

TEST_F(SemanticGroupingGpu, OneOutputUsedGivesItsGradientAlone) {
  for (const auto& way : ways()) {
    Case slots({2, 37, 40, 61}, way), scores({2, 37, 40, 61}, way);
    slots.grad_scores.reset();
    scores.grad_slots.reset();
    EXPECT_TRUE(Judge(slots).as_exact_as_the_reference(fused(slots, at::kCUDA))) << way;
    EXPECT_TRUE(Judge(scores).as_exact_as_the_reference(fused(scores, at::kCUDA))) << way;
  }
}

TEST_F(SemanticGroupingGpu, RunsGiveTheSameBits) {
  for (const auto& way : ways()) {
    const Case c({4, 1028, 64, 49}, way);
    const auto first = fused(c, at::kCUDA);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto results = fused(c, at::kCUDA);
      for (std::size_t i = 0; i < first.size(); ++i)
        EXPECT_TRUE(at::equal(results[i], first[i])) << way << ": " << kNames[i];
    }
  }
}

TEST_F(SemanticGroupingGpu, NothingGivesZeros) {
  for (const auto& way : ways()) {
    for (const auto& sizes : {Sizes{0, 5, 3, 4}, Sizes{2, 5, 3, 0}}) {
      const Case c(sizes, way);
      const auto results = fused(c, at::kCUDA);
      EXPECT_TRUE(at::equal(results[0].cpu(), at::zeros_like(c.grad_slots, c.type))) << sizes;
      EXPECT_TRUE(at::equal(results[3].cpu(), at::zeros_like(c.prototypes))) << sizes;
    }
  }
}

TEST_F(SemanticGroupingGpu, TilesAreChosenForWhatTheTensorCoresMultiply) {
  const bool tensor_cores = slotcon::kernel::cuda::kernels().has_tensor_cores(0);
  const auto prototypes = at::zeros({2048, 256}, at::kCUDA);
  for (const auto type : kTypes) {
    const auto plans = grouping::cuda_plans(
        at::zeros({64, 256, 196}, at::device(at::kCUDA).dtype(type)), prototypes, 1e-6);
    const bool tiles = tensor_cores && type != at::kFloat;
    EXPECT_EQ(plans.forward == grouping::CudaPlan::kTiles, tiles) << type;
    EXPECT_EQ(plans.backward == grouping::CudaPlan::kTiles, tiles) << type;
  }
}
