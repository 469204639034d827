// What to say where CUDA tensors come and no CUDA kernels are there for them.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <slotcon/kernel/cuda/backend.h>

namespace slotcon::kernel::cuda {

/// Why no fused kernel can run on a CUDA tensor where kernels_linked() says no.
inline constexpr const char* kNotLinked = "this program does not link slotcon::cuda";

/// Warns, once in a process, where CUDA tensors run the reference for lack of slotcon::cuda.
inline void warn_if_not_linked(c10::Device device) {
  if (!device.is_cuda() || kernels_linked()) return;
  TORCH_WARN_ONCE("slotcon: the losses run as plain ATen operations on CUDA tensors, as ",
                  kNotLinked, ", the CMake target with the fused kernels");
}

}  // namespace slotcon::kernel::cuda
