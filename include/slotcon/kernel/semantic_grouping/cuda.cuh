// The CUDA kernels of semantic grouping.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_backward.cuh>
#include <slotcon/kernel/semantic_grouping/cuda_tile_gradient.cuh>
#include <slotcon/kernel/semantic_grouping/cuda_tile_means.cuh>
#include <slotcon/kernel/semantic_grouping/cuda_tile_scores.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

inline constexpr Launches kLaunches{
    launch_rows,        launch_unit_rows,  launch_scores,           launch_weights,
    launch_row_dots,    launch_slopes,     launch_feature_gradient, launch_prototype_gradient,
    launch_tile_scores, launch_tile_means, launch_tile_gradient};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
