// A GPU on the host: what a .cuh finds in place of the CUDA toolkit
// (slotcon/kernel/cuda/compat.cuh).
//
// Every thread is a fiber in one thread of the process. Threads run in an order that a test
// chooses, one at a time and lane by lane, until they meet at a barrier; shared memory begins as
// NaN; copies beside the kernel are made when they are waited for. So what a GPU does wrong now and
// then goes wrong here in at least one of three schedules, always. Not covered: time, bank
// conflicts, registers, and the order in which tensor cores add.
#pragma once

#include "language.h"
#include "memory.h"
#include "numbers.h"
#include "tensor_core.h"

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

using emulation::BFloat16;
using emulation::commit_copies;
using emulation::copy_async;
using emulation::Float16;
using emulation::from_float;
using emulation::inside;
using emulation::load;
using emulation::load_matrices;
using emulation::load_matrices_transposed;
using emulation::multiply_add;
using emulation::shared_memory;
using emulation::store;
using emulation::to_float;
using emulation::to_tf32;
using emulation::wait_copies;

inline bool has_tensor_cores(int /*device*/) { return emulation::tensor_cores; }

/// Runs a kernel, block after block. Throws emulation::Error for what a GPU would do wrong.
template <class... Parameters, class... Arguments>
Error launch(void (*kernel)(Parameters...), Index blocks, int threads, std::size_t shared_bytes,
             Stream /*stream*/, const Arguments&... arguments) {
  constexpr std::size_t kLargestShared = 227 * 1024;  // of a block on an H100
  if (threads <= 0 || threads > 1024 || shared_bytes > kLargestShared) {
    return "invalid configuration argument";
  }
  if (threads % emulation::kWarp != 0) throw emulation::Error("only whole warps are emulated");
  blockDim.x = static_cast<unsigned>(threads);
  gridDim.x = static_cast<unsigned>(blocks);
  emulation::Block block(threads, shared_bytes);
  for (Index i = 0; i < blocks; ++i) {
    blockIdx.x = static_cast<unsigned>(i);
    block.run([&] { kernel(arguments...); },
              [](int thread) { threadIdx.x = static_cast<unsigned>(thread); });
  }
  return nullptr;
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
