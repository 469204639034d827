// The CUDA kernels of slot InfoNCE.
#pragma once

#include <slotcon/kernel/slot_info_nce/cuda_contrast.cuh>
#include <slotcon/kernel/slot_info_nce/cuda_rows.cuh>

namespace slotcon::kernel::slot_info_nce {
inline namespace SLOTCON_VERSIONED {

inline constexpr Launches kLaunches{launch_units, launch_contrast, launch_gradient,
                                    cuda::launch_mean};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::slot_info_nce
