// Products of tiles in shared memory, by a block of eight warps: with tensor cores, and without.
//
// Sums of 64 x (8 warps' share) lie in registers as mma.sync leaves them, whatever makes them: of
// each 16 x 8 of a warp a thread has (g, 2m), (g, 2m + 1), (g + 8, 2m) and (g + 8, 2m + 1), with
// g = lane / 4 and m = lane % 4.
#pragma once

#include <slotcon/kernel/cuda/rows.cuh>
#include <type_traits>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

/// Tiles are 64 rows of chunks of this many bytes.
constexpr int kTileRows = 64;
constexpr int kChunkBytes = 128;

/// Where a thread's sums are.
struct Place {
  int row, column;  // the first of both
};

/// The sums of a block: four warps along the rows, two along the columns, which have `columns`
/// each.
__device__ __forceinline__ Place place_of_thread(int columns) {
  const int warp = warp_index(), lane = lane_index();
  return {warp % 4 * 16 + lane / 4, warp / 4 * columns + lane % 4 * 2};
}

/// What all kinds of arithmetic have: rows of tiles lie a few bytes further apart than they are
/// long, so that the lanes that read together find different banks.
template <class T>
struct TilesOf {
  using Number = T;
  static constexpr int kChunk = kChunkBytes / static_cast<int>(sizeof(T));
  static constexpr int kStride = (kChunkBytes + 16) / static_cast<int>(sizeof(T));
  static constexpr int kMixStride =
      (kChunkBytes + (sizeof(T) == 4 ? 32 : 16)) / static_cast<int>(sizeof(T));
  static constexpr int kWeightStride = kTileRows + 16 / static_cast<int>(sizeof(T));
  static constexpr int kProductColumns = kTileRows / 2;  // of a warp
  static constexpr int kMixColumns = kChunk / 2;
  static constexpr float kWeightScale = 1;  // what weights are multiplied with, to be in range

  static constexpr int kBlocks = 2;  // of a processor, which share its registers

  using ProductSums = float[kProductColumns / 8][4];
  using MixSums = float[kMixColumns / 8][4];
};

/// float32 by fused multiply-adds.
struct Float32Tiles : TilesOf<float> {
  static constexpr int kBlocks = 1;
  static constexpr int kStep = 4;  // of the depth

  __device__ __forceinline__ static float number(float value) { return value; }

  /// sums += a[64,kChunk] b[64,kChunk]^T, rows kStride apart.
  __device__ __forceinline__ static void product(ProductSums& sums, const float* a,
                                                 const float* b) {
    const auto [row, column] = place_of_thread(kProductColumns);
#pragma unroll 2
    for (int k = 0; k < kChunk; k += kStep) {
      const auto upper = load<kStep>(a + row * kStride + k);
      const auto lower = load<kStep>(a + (row + 8) * kStride + k);
#pragma unroll
      for (int i = 0; i < kProductColumns / 4; ++i) {
        const int tile = i / 2, half = i % 2;
        const auto other = load<kStep>(b + (column + 8 * tile + half) * kStride + k);
#pragma unroll
        for (int j = 0; j < kStep; ++j) {
          sums[tile][half] += upper.values[j] * other.values[j];
          sums[tile][2 + half] += lower.values[j] * other.values[j];
        }
      }
    }
  }

  /// sums += weights[64,64] b[64,kChunk], rows kWeightStride and kMixStride apart.
  __device__ __forceinline__ static void mix(MixSums& sums, const float* weights, const float* b) {
    const auto [row, column] = place_of_thread(kMixColumns);
#pragma unroll 2
    for (int k = 0; k < kTileRows; k += kStep) {
      const auto upper = load<kStep>(weights + row * kWeightStride + k);
      const auto lower = load<kStep>(weights + (row + 8) * kWeightStride + k);
#pragma unroll
      for (int i = 0; i < kStep * (kMixColumns / 8); ++i) {
        const int j = i % kStep, tile = i / kStep;
        const auto other = load<2>(b + (k + j) * kMixStride + column + 8 * tile);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          sums[tile][half] += upper.values[j] * other.values[half];
          sums[tile][2 + half] += lower.values[j] * other.values[half];
        }
      }
    }
  }
};

/// float32 that has been rounded to TF32, by the tensor cores.
struct Tf32Tiles : TilesOf<float> {
  __device__ __forceinline__ static float number(float value) {
    return __uint_as_float(to_tf32(value));
  }

  __device__ __forceinline__ static void product(ProductSums& sums, const float* a,
                                                 const float* b) {
    const int lane = lane_index(), g = lane / 4, m = lane % 4;
    const float* const rows = a + (warp_index() % 4 * 16 + g) * kStride + m;
    const float* const columns = b + (warp_index() / 4 * kProductColumns + g) * kStride + m;
#pragma unroll
    for (int k = 0; k < kChunk; k += 8) {
      std::uint32_t left[4];
      load_left(left, rows + k, kStride);
#pragma unroll
      for (int tile = 0; tile < kProductColumns / 8; ++tile) {
        const float* const from = columns + 8 * tile * kStride + k;
        const std::uint32_t right[2] = {__float_as_uint(from[0]), __float_as_uint(from[4])};
        multiply_add<float>(sums[tile], left, right);
      }
    }
  }

  __device__ __forceinline__ static void mix(MixSums& sums, const float* weights, const float* b) {
    const int lane = lane_index(), g = lane / 4, m = lane % 4;
    const float* const rows = weights + (warp_index() % 4 * 16 + g) * kWeightStride + m;
    const float* const columns = b + m * kMixStride + warp_index() / 4 * kMixColumns + g;
#pragma unroll
    for (int k = 0; k < kTileRows; k += 8) {
      std::uint32_t left[4];
      load_left(left, rows + k, kWeightStride);
#pragma unroll
      for (int tile = 0; tile < kMixColumns / 8; ++tile) {
        const float* const from = columns + k * kMixStride + 8 * tile;
        const std::uint32_t right[2] = {__float_as_uint(from[0]),
                                        __float_as_uint(from[4 * kMixStride])};
        multiply_add<float>(sums[tile], left, right);
      }
    }
  }

 private:
  __device__ __forceinline__ static void load_left(std::uint32_t (&to)[4], const float* from,
                                                   int stride) {
    to[0] = __float_as_uint(from[0]);
    to[1] = __float_as_uint(from[8 * stride]);
    to[2] = __float_as_uint(from[4]);
    to[3] = __float_as_uint(from[8 * stride + 4]);
  }
};

/// BFloat16 or Float16, by the tensor cores.
template <class T>
struct HalfTiles : TilesOf<T> {
  using Base = TilesOf<T>;

  /// A weight down to 2^-29 is a normal number of Float16 this way.
  static constexpr float kWeightScale = std::is_same_v<T, Float16> ? 32768 : 1;

  __device__ __forceinline__ static T number(float value) { return from_float<T>(value); }

  __device__ __forceinline__ static void product(typename Base::ProductSums& sums, const T* a,
                                                 const T* b) {
    const int lane = lane_index();
    const T* const rows = a + (warp_index() % 4 * 16 + lane % 16) * Base::kStride + lane / 16 * 8;
    const T* const columns =
        b + (warp_index() / 4 * Base::kProductColumns + lane / 16 * 8 + lane % 8) * Base::kStride +
        lane / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < Base::kChunk; k += 16) {
      std::uint32_t left[4];
      load_matrices(left, rows + k);
#pragma unroll
      for (int tile = 0; tile < Base::kProductColumns / 8; tile += 2) {
        std::uint32_t right[4];
        load_matrices(right, columns + 8 * tile * Base::kStride + k);
        multiply_pair(sums[tile], sums[tile + 1], left, right);
      }
    }
  }

  __device__ __forceinline__ static void mix(typename Base::MixSums& sums, const T* weights,
                                             const T* b) {
    const int lane = lane_index();
    const T* const rows =
        weights + (warp_index() % 4 * 16 + lane % 16) * Base::kWeightStride + lane / 16 * 8;
    const T* const columns =
        b + lane % 16 * Base::kMixStride + warp_index() / 4 * Base::kMixColumns + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < kTileRows; k += 16) {
      std::uint32_t left[4];
      load_matrices(left, rows + k);
#pragma unroll
      for (int tile = 0; tile < Base::kMixColumns / 8; tile += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right, columns + k * Base::kMixStride + 8 * tile);
        multiply_pair(sums[tile], sums[tile + 1], left, right);
      }
    }
  }

 private:
  __device__ __forceinline__ static void multiply_pair(float (&first)[4], float (&second)[4],
                                                       const std::uint32_t (&left)[4],
                                                       const std::uint32_t (&right)[4]) {
    const std::uint32_t halves[2][2] = {{right[0], right[1]}, {right[2], right[3]}};
    multiply_add<T>(first, left, halves[0]);
    multiply_add<T>(second, left, halves[1]);
  }
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
