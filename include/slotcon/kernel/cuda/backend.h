// Where host code finds the CUDA kernels, if the program has them.
#pragma once

#include <slotcon/kernel/aligned_assignment/cuda_launches.h>
#include <slotcon/kernel/cuda/types.h>
#include <slotcon/kernel/semantic_grouping/cuda_launches.h>
#include <slotcon/kernel/slot_info_nce/cuda_launches.h>

#include <atomic>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

/// The launch functions of every concept.
struct Kernels {
  /// Whether the GPU of this number has the tensor cores that kernels use, and code for them is
  /// here.
  bool (*has_tensor_cores)(int device);
  semantic_grouping::Launches semantic_grouping;
  aligned_assignment::Launches aligned_assignment;
  slot_info_nce::Launches slot_info_nce;
};

/// Filled by cuda_backend.cu before main() in a program that links slotcon::cuda, else null.
inline std::atomic<const Kernels*> registered_kernels{nullptr};

/// Whether this program links slotcon::cuda.
inline bool kernels_linked() { return registered_kernels.load() != nullptr; }

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
