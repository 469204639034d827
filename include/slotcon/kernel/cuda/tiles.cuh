// Products of tiles in shared memory, by a block of eight warps: with tensor cores, and without.
#pragma once

#include <slotcon/kernel/cuda/rows.cuh>
#include <type_traits>

namespace slotcon::kernel::cuda {
inline namespace SLOTCON_VERSIONED {

constexpr int kTileRows = 64;

/// A thread's part of the sums of a block, kTileRows x kColumns. They lie where mma.sync leaves
/// them, whatever makes them: of each matrix of 16 x 8 of its warp a thread has (g, 2m),
/// (g, 2m + 1), (g + 8, 2m) and (g + 8, 2m + 1), with g = lane / 4 and m = lane % 4. The warps are
/// kDown along the rows, where the matrices of each follow each other, and kAcross along the
/// columns, where those of the warps take turns.
template <int kDown, int kColumns>
struct BlockSums {
  static constexpr int kAcross = kBlockWarps / kDown;
  static constexpr int kColumnStep = 8 * kAcross;  // from a matrix of a warp to its next
  static constexpr int kHeight = kTileRows / kDown / 16, kWidth = kColumns / kColumnStep;
  static constexpr int kLines = 2 * kHeight;  // the rows of a thread, each 8 after the one before

  __device__ __forceinline__ static int warp_row() {
    return warp_index() % kDown * (kTileRows / kDown);
  }
  __device__ __forceinline__ static int warp_column() { return warp_index() / kDown * 8; }
  __device__ __forceinline__ static int row(int line) {
    return warp_row() + lane_index() / 4 + 8 * line;
  }
  __device__ __forceinline__ static int column(int j) {
    return warp_column() + lane_index() % 4 * 2 + kColumnStep * j;
  }

  /// The sums at row(line), column(j) and the column after.
  __device__ __forceinline__ float* pair(int line, int j) {
    return matrices[line / 2][j] + line % 2 * 2;
  }
  __device__ __forceinline__ const float* pair(int line, int j) const {
    return matrices[line / 2][j] + line % 2 * 2;
  }

  float matrices[kHeight][kWidth][4];
};

/// What all kinds of arithmetic have. Rows of tiles are chunks of kChunkBytes; they lie a few bytes
/// further apart than they are long, so that the lanes that read together find different banks.
template <class T, int kBytesOfChunk>
struct TilesOf {
  using Number = T;
  static constexpr int kChunkBytes = kBytesOfChunk, kBytes = static_cast<int>(sizeof(T));
  static constexpr int kChunk = kChunkBytes / kBytes;
  static constexpr int kStride = (kChunkBytes + 16) / kBytes;
  static constexpr int kMixStride = (kChunkBytes + (kBytes == 4 ? 32 : 16)) / kBytes;
  static constexpr int kWeightStride = kTileRows + 16 / kBytes;
  static constexpr float kWeightScale = 1;  // what weights are multiplied with, to be in range
  static constexpr int kBlocks = 2;         // of a processor, which share its registers
};

/// float32 by fused multiply-adds.
template <int kChunkBytes>
struct Float32Tiles : TilesOf<float, kChunkBytes> {
  using Base = TilesOf<float, kChunkBytes>;
  static constexpr int kBlocks = 1;
  static constexpr int kStep = 4;  // of the depth

  __device__ __forceinline__ static float number(float value) { return value; }

  /// sums += a[64,kChunk] b[columns,kChunk]^T, rows kStride apart.
  template <int kDown, int kColumns>
  __device__ __forceinline__ static void product(BlockSums<kDown, kColumns>& sums, const float* a,
                                                 const float* b) {
    using Sums = BlockSums<kDown, kColumns>;
#pragma unroll 2
    for (int k = 0; k < Base::kChunk; k += kStep) {
      Vector<float, kStep> rows[Sums::kLines];
#pragma unroll
      for (int line = 0; line < Sums::kLines; ++line) {
        rows[line] = load<kStep>(a + Sums::row(line) * Base::kStride + k);
      }
#pragma unroll
      for (int i = 0; i < 2 * Sums::kWidth; ++i) {
        const int j = i / 2, half = i % 2;
        const auto other = load<kStep>(b + (Sums::column(j) + half) * Base::kStride + k);
#pragma unroll
        for (int step = 0; step < kStep; ++step) {
#pragma unroll
          for (int line = 0; line < Sums::kLines; ++line) {
            sums.pair(line, j)[half] += rows[line].values[step] * other.values[step];
          }
        }
      }
    }
  }

  /// sums += weights[64,64] b[64,columns], rows kWeightStride and kMixStride apart.
  template <int kDown, int kColumns>
  __device__ __forceinline__ static void mix(BlockSums<kDown, kColumns>& sums, const float* weights,
                                             const float* b) {
    using Sums = BlockSums<kDown, kColumns>;
#pragma unroll 2
    for (int k = 0; k < kTileRows; k += kStep) {
      Vector<float, kStep> rows[Sums::kLines];
#pragma unroll
      for (int line = 0; line < Sums::kLines; ++line) {
        rows[line] = load<kStep>(weights + Sums::row(line) * Base::kWeightStride + k);
      }
#pragma unroll
      for (int i = 0; i < kStep * Sums::kWidth; ++i) {
        const int step = i % kStep, j = i / kStep;
        const auto other = load<2>(b + (k + step) * Base::kMixStride + Sums::column(j));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int line = 0; line < Sums::kLines; ++line) {
            sums.pair(line, j)[half] += rows[line].values[step] * other.values[half];
          }
        }
      }
    }
  }
};

/// float32 by the tensor cores, which multiply in TF32. Weights have been rounded to it by
/// number(); so has all else if kRounded, and otherwise is on the way.
template <int kChunkBytes, bool kRounded>
struct Tf32Tiles : TilesOf<float, kChunkBytes> {
  using Base = TilesOf<float, kChunkBytes>;

  __device__ __forceinline__ static float number(float value) {
    return __uint_as_float(to_tf32(value));
  }

  /// What the tensor cores make of a number that is not a weight.
  __device__ __forceinline__ static float multiplied(float value) {
    return kRounded ? value : number(value);
  }

  template <int kDown, int kColumns>
  __device__ __forceinline__ static void product(BlockSums<kDown, kColumns>& sums, const float* a,
                                                 const float* b) {
    using Sums = BlockSums<kDown, kColumns>;
    const int g = lane_index() / 4, m = lane_index() % 4;
    const float* const rows = a + (Sums::warp_row() + g) * Base::kStride + m;
    const float* const columns = b + (Sums::warp_column() + g) * Base::kStride + m;
#pragma unroll
    for (int k = 0; k < Base::kChunk; k += 8) {
      std::uint32_t left[Sums::kHeight][4];
#pragma unroll
      for (int i = 0; i < Sums::kHeight; ++i) {
        load_left<kRounded>(left[i], rows + 16 * i * Base::kStride + k, Base::kStride);
      }
#pragma unroll
      for (int j = 0; j < Sums::kWidth; ++j) {
        const float* const from = columns + j * Sums::kColumnStep * Base::kStride + k;
        multiply_by(sums, j, left, from[0], from[4]);
      }
    }
  }

  template <int kDown, int kColumns>
  __device__ __forceinline__ static void mix(BlockSums<kDown, kColumns>& sums, const float* weights,
                                             const float* b, int depth = kTileRows) {
    using Sums = BlockSums<kDown, kColumns>;
    const int g = lane_index() / 4, m = lane_index() % 4;
    const float* const rows = weights + (Sums::warp_row() + g) * Base::kWeightStride + m;
    const float* const columns = b + m * Base::kMixStride + Sums::warp_column() + g;
#pragma unroll
    for (int k = 0; k < kTileRows; k += 8) {
      if (k >= depth) break;
      std::uint32_t left[Sums::kHeight][4];
#pragma unroll
      for (int i = 0; i < Sums::kHeight; ++i) {
        load_left<true>(left[i], rows + 16 * i * Base::kWeightStride + k, Base::kWeightStride);
      }
#pragma unroll
      for (int j = 0; j < Sums::kWidth; ++j) {
        const float* const from = columns + k * Base::kMixStride + j * Sums::kColumnStep;
        multiply_by(sums, j, left, from[0], from[4 * Base::kMixStride]);
      }
    }
  }

 private:
  template <bool kAsItIs>
  __device__ __forceinline__ static void load_left(std::uint32_t (&to)[4], const float* from,
                                                   int stride) {
    const float values[4] = {from[0], from[8 * stride], from[4], from[8 * stride + 4]};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      to[i] = __float_as_uint(kAsItIs ? values[i] : multiplied(values[i]));
    }
  }

  template <class Sums>
  __device__ __forceinline__ static void multiply_by(Sums& sums, int j,
                                                     const std::uint32_t (&left)[Sums::kHeight][4],
                                                     float upper, float lower) {
    const std::uint32_t right[2] = {__float_as_uint(multiplied(upper)),
                                    __float_as_uint(multiplied(lower))};
#pragma unroll
    for (int i = 0; i < Sums::kHeight; ++i) {
      multiply_add<float>(sums.matrices[i][j], left[i], right);
    }
  }
};

/// BFloat16 or Float16, by the tensor cores.
template <class T, int kChunkBytes>
struct HalfTiles : TilesOf<T, kChunkBytes> {
  using Base = TilesOf<T, kChunkBytes>;

  /// A weight down to 2^-29 is a normal number of Float16 this way.
  static constexpr float kWeightScale = std::is_same_v<T, Float16> ? 32768 : 1;

  __device__ __forceinline__ static T number(float value) { return from_float<T>(value); }
  __device__ __forceinline__ static float multiplied(T value) { return to_float(value); }

  template <int kDown, int kColumns>
  __device__ __forceinline__ static void product(BlockSums<kDown, kColumns>& sums, const T* a,
                                                 const T* b) {
    using Sums = BlockSums<kDown, kColumns>;
    const int lane = lane_index();
    const T* const rows = a + (Sums::warp_row() + lane % 16) * Base::kStride + lane / 16 * 8;
    const T* const columns =
        b + (Sums::warp_column() + lane / 16 * Sums::kColumnStep + lane % 8) * Base::kStride +
        lane / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < Base::kChunk; k += 16) {
      std::uint32_t left[Sums::kHeight][4];
#pragma unroll
      for (int i = 0; i < Sums::kHeight; ++i) {
        load_matrices(left[i], rows + 16 * i * Base::kStride + k);
      }
#pragma unroll
      for (int j = 0; j < Sums::kWidth; j += 2) {
        std::uint32_t right[4];
        load_matrices(right, columns + j * Sums::kColumnStep * Base::kStride + k);
        multiply_by(sums, j, left, right);
      }
    }
  }

  template <int kDown, int kColumns>
  __device__ __forceinline__ static void mix(BlockSums<kDown, kColumns>& sums, const T* weights,
                                             const T* b, int depth = kTileRows) {
    using Sums = BlockSums<kDown, kColumns>;
    const int lane = lane_index();
    const T* const rows =
        weights + (Sums::warp_row() + lane % 16) * Base::kWeightStride + lane / 16 * 8;
    const T* const columns =
        b + lane % 16 * Base::kMixStride + Sums::warp_column() + lane / 16 * Sums::kColumnStep;
#pragma unroll
    for (int k = 0; k < kTileRows; k += 16) {
      if (k >= depth) break;
      std::uint32_t left[Sums::kHeight][4];
#pragma unroll
      for (int i = 0; i < Sums::kHeight; ++i) {
        load_matrices(left[i], rows + 16 * i * Base::kWeightStride + k);
      }
#pragma unroll
      for (int j = 0; j < Sums::kWidth; j += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right, columns + k * Base::kMixStride + j * Sums::kColumnStep);
        multiply_by(sums, j, left, right);
      }
    }
  }

 private:
  template <class Sums>
  __device__ __forceinline__ static void multiply_by(Sums& sums, int j,
                                                     const std::uint32_t (&left)[Sums::kHeight][4],
                                                     const std::uint32_t (&right)[4]) {
    const std::uint32_t halves[2][2] = {{right[0], right[1]}, {right[2], right[3]}};
#pragma unroll
    for (int i = 0; i < Sums::kHeight; ++i) {
      multiply_add<T>(sums.matrices[i][j], left[i], halves[0]);
      multiply_add<T>(sums.matrices[i][j + 1], left[i], halves[1]);
    }
  }
};

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::cuda
