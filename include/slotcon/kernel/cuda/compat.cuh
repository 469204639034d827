// The machine that kernels are written for. Every .cuh begins here.
//
// nvcc compiles them for a GPU. A host compiler compiles the same files as C++ for the emulation of
// slotcon's tests, whose folder is then in the include path.
#pragma once

#if defined(__CUDACC__)
#include <slotcon/kernel/cuda/device.cuh>
#else
#include <slotcon_cuda_emulation.h>
#endif
