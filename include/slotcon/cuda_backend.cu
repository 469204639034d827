// The CUDA kernels of slotcon, compiled in each program that links slotcon::cuda.
#include <slotcon/kernel/cuda/backend.h>

#include <slotcon/kernel/aligned_assignment/cuda.cuh>
#include <slotcon/kernel/semantic_grouping/cuda.cuh>
#include <slotcon/kernel/slot_info_nce/cuda.cuh>

namespace {

namespace kernel = slotcon::kernel;

constexpr kernel::cuda::Kernels kKernels{
    kernel::cuda::has_tensor_cores, kernel::semantic_grouping::kLaunches,
    kernel::aligned_assignment::kLaunches, kernel::slot_info_nce::kLaunches};

[[maybe_unused]] const bool kRegistered = (kernel::cuda::registered_kernels.store(&kKernels), true);

}  // namespace
