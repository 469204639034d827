// What kernels ask of a GPU beyond the CUDA language. Only these functions differ between a GPU and
// the emulation of the tests (tests/cuda_emulation), which answers to the same names.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <slotcon/kernel/cuda/types.h>

#include <slotcon/kernel/cuda/vector.cuh>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

// ---- Numbers ----

using BFloat16 = __nv_bfloat16;
using Float16 = __half;

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(BFloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float to_float(Float16 value) { return __half2float(value); }

/// To the nearest number of type T, ties to even.
template <class T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ BFloat16 from_float<BFloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <>
__device__ __forceinline__ Float16 from_float<Float16>(float value) {
  return __float2half_rn(value);
}

// ---- Memory ----

/// The shared memory that launch() asked for, aligned to 128 bytes. All shared memory of a kernel
/// is in there.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  extern __shared__ __align__(128) unsigned char slotcon_shared_memory[];
  return reinterpret_cast<T*>(slotcon_shared_memory);
}

/// Whether `index` is one of `size`. Kernels write the bounds of their loops and tails this way.
template <class Number>
__device__ __forceinline__ bool inside(Number index, Number size) {
  return index < size;
}

/// kWidth neighbours from an address that is a multiple of their size.
template <int kWidth, class T>
__device__ __forceinline__ Vector<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Vector<T, kWidth>*>(from);
}
template <int kWidth, class T>
__device__ __forceinline__ void store(T* to, const Vector<T, kWidth>& vector) {
  *reinterpret_cast<Vector<T, kWidth>*>(to) = vector;
}

// ---- Copies from global to shared memory that run beside the kernel (sm_80) ----

/// Starts to copy kBytes (4, 8 or 16, both addresses multiples of it); zeros if not `valid`.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool valid) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if __CUDA_ARCH__ >= 800
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global),
                 "n"(kBytes), "r"(bytes)
                 : "memory");
  }
#else
  __trap();
#endif
}

/// Makes a group of this thread's copies since the last one.
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits for all of this thread's groups but the latest kPending.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// ---- Matrices, of which each lane of a warp holds a part (as PTX documents mma.sync) ----

/// Four 8x8 matrices of 16-bit numbers from shared memory: lane i gives the address of row i % 8 of
/// matrix i / 8, a multiple of 16 bytes.
__device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], const void* row) {
  const auto from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

/// The same, each matrix transposed on the way.
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&to)[4], const void* row) {
  const auto from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

/// The bits of the nearest TF32 number, ties away from zero.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
  std::uint32_t bits = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
#endif
  return bits;
}

/// sum[16x8] += a[16xk] b[kx8]: k is 16 of BFloat16 or Float16, two a register, or 8 of TF32
/// (T = float).
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]);

#if __CUDA_ARCH__ >= 800
#define SLOTCON_MMA(instruction)                                                  \
  asm volatile("mma.sync.aligned." instruction                                    \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])           \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
#define SLOTCON_MMA(instruction) __trap()
#endif

template <>
__device__ __forceinline__ void multiply_add<BFloat16>(float (&sum)[4], const std::uint32_t (&a)[4],
                                                       const std::uint32_t (&b)[2]) {
  SLOTCON_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}
template <>
__device__ __forceinline__ void multiply_add<Float16>(float (&sum)[4], const std::uint32_t (&a)[4],
                                                      const std::uint32_t (&b)[2]) {
  SLOTCON_MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
template <>
__device__ __forceinline__ void multiply_add<float>(float (&sum)[4], const std::uint32_t (&a)[4],
                                                    const std::uint32_t (&b)[2]) {
  SLOTCON_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}

#undef SLOTCON_MMA

// ---- Launch ----

/// Whether the GPU of this number has the tensor cores that the functions above use, those of sm_80
/// and newer, and runs code that was compiled for them.
inline bool has_tensor_cores(int device) {
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) {
    return false;
  }
  constexpr int kCompiledFor[] = {__CUDA_ARCH_LIST__};  // 800 of sm_80
  for (const int architecture : kCompiledFor) {
    if (architecture >= 800 && architecture <= 100 * major + 10 * minor) return true;
  }
  return false;
}

/// Runs a kernel on the stream; null, or the words in which CUDA refuses. An empty grid is no work.
template <class... Parameters, class... Arguments>
Error launch(void (*kernel)(Parameters...), Index blocks, int threads, std::size_t shared_bytes,
             Stream stream, const Arguments&... arguments) {
  if (blocks == 0) return nullptr;
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (shared_bytes > kWithoutAsking) {
    const auto status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared_bytes));
    if (status != cudaSuccess) return cudaGetErrorString(status);
  }
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), shared_bytes,
           static_cast<cudaStream_t>(stream)>>>(arguments...);
  const auto status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
