// How the CUDA passes of semantic grouping make their matrix products, and what decides it.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/kernel/cuda/launcher.h>
#include <slotcon/kernel/semantic_grouping/cuda_launches.h>
#include <torch/types.h>

#include <atomic>
#include <optional>
#include <ostream>

namespace slotcon::kernel::semantic_grouping {

/// How a pass makes its matrix products.
enum class CudaPlan {
  kProducts,  ///< by LibTorch, with kernels between them: every type and size
  kTiles,     ///< tile by tile inside the kernels: what is between them never is in memory
};

inline std::ostream& operator<<(std::ostream& out, CudaPlan plan) {
  return out << (plan == CudaPlan::kProducts ? "products" : "tiles");
}

/// That of each pass of a call.
struct CudaPlans {
  CudaPlan forward, backward;
};

/// What plans depend on.
struct CudaProblem {
  cuda::Arithmetic arithmetic;
  bool tensor_cores;  // those that the kernels use: of sm_80 and newer
  Index images, slots, dims, positions;
  double eps;
};

/// Whether kernels can make the products: in what tensor cores multiply, of rows of which the
/// registers of a block hold the sums. Float16 holds weights that eps keeps from below 2^-29; those
/// of CudaPlan::kProducts are quotients that need no such help.
inline bool tiles_can_run(const CudaProblem& problem) {
  constexpr double kLeastHalfWeight = 0x1p-29;
  const bool in_range =
      problem.arithmetic != cuda::Arithmetic::kFloat16 || problem.eps >= kLeastHalfWeight;
  return problem.tensor_cores && problem.arithmetic != cuda::Arithmetic::kFloat32 &&
         problem.dims <= kMostDims && in_range;
}

/// The plan of each pass that a model of its cost predicts to be the faster one. It has not been
/// measured.
///
/// What is between LibTorch's products goes through memory: 20 bytes for each of the B K N entries
/// in the forward pass, 26 in the backward pass (24 and 36 in float32), against 8 and 16 (8 and 20)
/// if kernels make the products. The difference takes an H100 3 to 5 ps an entry. Products of 256
/// dims by kernels that reach half the speed of LibTorch's take 0.9 to 1.6 ps an entry more each,
/// and there are two of them in the forward pass and three in the backward pass, whose fourth is
/// LibTorch's either way.
///
/// But a block does all there is to do for 64 slots (forward) or for 64 positions (backward). With
/// few blocks most of a GPU has no work, while LibTorch shares out one product between all of it.
/// That counts where a block takes long: where it does not, launches take the time, of which there
/// are fewer this way.
inline CudaPlans choose_plans(const CudaProblem& problem) {
  if (!tiles_can_run(problem)) return {CudaPlan::kProducts, CudaPlan::kProducts};
  const auto plan = [&](Index tiles, Index length) {
    constexpr Index kProcessors = 132;  // of an H100 or H200
    constexpr Index kShort = 512;       // a block of it takes 30 microseconds
    const bool enough = problem.images * tiles >= kProcessors || length <= kShort;
    return enough ? CudaPlan::kTiles : CudaPlan::kProducts;
  };
  const auto tiles_of = [](Index count, Index tile) { return (count + tile - 1) / tile; };
  return {plan(tiles_of(problem.slots, kTileSlots), problem.positions),
          plan(tiles_of(problem.positions, kTilePositions), problem.slots)};
}

namespace detail {

inline std::atomic<std::optional<CudaPlan>>& forced_plan() {
  static std::atomic<std::optional<CudaPlan>> plan{std::nullopt};
  return plan;
}

}  // namespace detail

/// Makes all CUDA passes of this process follow `plan`, for tests and benchmarks; nullopt: the one
/// that is chosen.
inline void force_cuda_plan_for_testing(std::optional<CudaPlan> plan) {
  detail::forced_plan() = plan;
}

/// The plans that the passes of a call follow.
inline CudaPlans cuda_plans(const torch::Tensor& features, const torch::Tensor& prototypes,
                            double eps) {
  const CudaProblem problem{cuda::arithmetic_of(features),
                            cuda::has_tensor_cores(features),
                            features.size(0),
                            prototypes.size(0),
                            features.size(1),
                            features.size(2),
                            eps};
  const auto forced = detail::forced_plan().load();
  if (!forced) return choose_plans(problem);
  TORCH_CHECK(*forced == CudaPlan::kProducts || tiles_can_run(problem),
              "semantic_grouping: CudaPlan::kTiles was forced where it cannot run");
  return {*forced, *forced};
}

}  // namespace slotcon::kernel::semantic_grouping
