// What host code and CUDA kernels say to each other. Plain C++: no header of LibTorch or CUDA.
#pragma once

#include <slotcon/kernel/cuda/versioned.h>

#include <cstdint>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

using Index = std::int64_t;

/// The types of numbers that kernels read and write.
enum class Scalar { kFloat32, kBFloat16, kFloat16 };

/// How products are made: of float32, by float32 or by the tensor cores in TF32; of 16-bit numbers
/// by the tensor cores.
enum class Arithmetic { kFloat32, kTf32, kBFloat16, kFloat16 };

/// What a launch function returns: null, or the words in which CUDA refused the launch.
using Error = const char*;

/// A cudaStream_t.
using Stream = void*;

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
