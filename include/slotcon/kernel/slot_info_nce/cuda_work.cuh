// How the contrast is shared between blocks, which learn on the device how much there is.
#pragma once

#include <slotcon/kernel/slot_info_nce/cuda_launches.h>

#include <slotcon/kernel/cuda/mean.cuh>
#include <slotcon/kernel/cuda/tile_stream.cuh>
#include <slotcon/kernel/cuda/tiles.cuh>

namespace slotcon::kernel::slot_info_nce {
inline namespace SLOTCON_VERSIONED {

using cuda::inside;
using cuda::kBlockThreads;
using cuda::kWarp;
using cuda::lane_index;
using cuda::warp_index;

static_assert(kTile == cuda::kTileRows);

/// The warps of a block along its columns, which are the rows of its sums; two are beside each
/// other.
constexpr int kDown = 4;

/// The dims of a strip of mixtures; in the last one those beyond the length are not written.
__device__ __forceinline__ int strip_width(Index length) {
  return length < kStrip ? static_cast<int>(length) : kStrip;
}

/// How many there are. Registers hold them as int, half an Index.
__device__ __forceinline__ int counted(const Set& set) {
  return static_cast<int>(cuda::counted(set.count, set.capacity));
}

/// Pieces of work: each a tile of columns with a part of the rows. There are as many parts as give
/// work to all processors; the shares depend on the counts alone.
class Work {
 public:
  __device__ Work(int columns, int rows)
      : tiles_((columns + kTile - 1) / kTile), row_tiles_((rows + kTile - 1) / kTile) {
    const int wanted = tiles_ == 0 ? 1 : kPieces / tiles_;
    const int most = wanted < row_tiles_ ? wanted : row_tiles_;
    parts_ = most > 1 ? most : 1;
  }

  __device__ int parts() const { return parts_; }
  __device__ int pieces() const { return tiles_ * parts_; }

  __device__ int piece(int tile, int part) const { return part * tiles_ + tile; }
  __device__ int tile(int piece) const { return piece % tiles_; }
  __device__ int first_row_tile(int piece) const { return share(piece / tiles_); }
  __device__ int end_row_tile(int piece) const { return share(piece / tiles_ + 1); }

 private:
  __device__ int share(int part) const {
    return static_cast<int>(static_cast<Index>(row_tiles_) * part / parts_);
  }

  const int tiles_, row_tiles_;
  int parts_;
};

/// visit(cuda::Type<Tiles>()) for the arithmetic that `arithmetic` names.
template <class Visitor>
Error by_arithmetic(Arithmetic arithmetic, const Visitor& visit) {
  switch (arithmetic) {
    case Arithmetic::kFloat32:
      return visit(cuda::Type<cuda::Float32Tiles<kChunkBytes>>());
    case Arithmetic::kTf32:
      return visit(cuda::Type<cuda::Tf32Tiles<kChunkBytes, /*kRounded=*/true>>());
    case Arithmetic::kBFloat16:
      return visit(cuda::Type<cuda::HalfTiles<cuda::BFloat16, kChunkBytes>>());
    case Arithmetic::kFloat16:
      return visit(cuda::Type<cuda::HalfTiles<cuda::Float16, kChunkBytes>>());
  }
  return "an arithmetic that no kernel knows";
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::slot_info_nce
