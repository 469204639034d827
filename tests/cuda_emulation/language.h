// The words of CUDA C++ that kernels use, for a host compiler. Blocks and grids have one dimension.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "numbers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

namespace slotcon::emulation {
struct Position {
  unsigned x = 0;
};
}  // namespace slotcon::emulation

inline slotcon::emulation::Position threadIdx, blockIdx, blockDim, gridDim;

// ---- Arithmetic ----

inline float __uint_as_float(unsigned bits) { return slotcon::emulation::float_of(bits); }
inline unsigned __float_as_uint(float value) { return slotcon::emulation::bits_of(value); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

// One operation, one rounding: no compiler may make a fused multiply-add of them.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) {
  const volatile float product = a * b;
  return product;
}

// ---- Barriers and exchanges: each names the place it is called from ----

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  using namespace slotcon::emulation;
  const Site site{"__syncthreads", file, line};
  if (broken_at(site)) return;
  Block::current()->wait(Thread::State::kAtBlockBarrier, site);
}

inline void __syncwarp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  using namespace slotcon::emulation;
  const Site site{"__syncwarp", file, line};
  if (broken_at(site)) return;
  Block::current()->wait(Thread::State::kAtWarpBarrier, site);
}

namespace slotcon::emulation {

/// The value of lane `source`; kernels shuffle and vote with all lanes or not at all.
template <class T>
T from_lane(unsigned mask, T value, int source, const Site& site) {
  if (mask != 0xFFFFFFFFu) Block::current()->fail("only whole warps are emulated");
  const auto& lanes = Block::current()->exchange(value, site);
  T result;
  std::memcpy(&result, lanes[source & (kWarp - 1)], sizeof result);
  return result;
}

}  // namespace slotcon::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int source, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  return slotcon::emulation::from_lane(mask, value, source, {"__shfl_sync", file, line});
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  const int source = slotcon::emulation::Block::current()->lane() ^ distance;
  return slotcon::emulation::from_lane(mask, value, source, {"__shfl_xor_sync", file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  using namespace slotcon::emulation;
  if (mask != 0xFFFFFFFFu) Block::current()->fail("only whole warps are emulated");
  const auto& lanes = Block::current()->exchange(predicate, {"__ballot_sync", file, line});
  unsigned votes = 0;
  for (int lane = 0; lane < kWarp; ++lane) {
    int vote = 0;
    std::memcpy(&vote, lanes[lane], sizeof vote);
    votes |= (vote != 0 ? 1u : 0u) << lane;
  }
  return votes;
}
