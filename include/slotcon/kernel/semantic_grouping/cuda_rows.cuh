// Rows of features and prototypes: transposed, at unit length, multiplied with each other.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_launches.h>

#include <slotcon/kernel/cuda/rows.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

using cuda::inside;
using cuda::kBlockThreads;
using cuda::kBlockWarps;
using cuda::kWarp;
using cuda::lane_index;
using cuda::warp_index;

// Positions and dims are exchanged tile by tile; a row more keeps columns in different banks.
constexpr int kTile = 32;
constexpr int kTileStride = kTile + 1;
constexpr std::size_t kTileBytes = kTile * kTileStride * sizeof(float);

/// A block for kTile positions of an image: lanes along positions to read, along dims to write.
template <class T>
__global__ void __launch_bounds__(kBlockThreads) rows_kernel(Rows call) {
  constexpr int kRowsOfAWarp = kTile / kBlockWarps;
  const Index blocks = cuda::divided_up(call.positions, kTile);
  const Index image = blockIdx.x / blocks, first = blockIdx.x % blocks * kTile;
  const auto* from = static_cast<const T*>(call.features) + image * call.strides.image;
  auto* to = static_cast<T*>(call.rows) + (image * call.positions + first) * call.length;
  auto* tile = cuda::shared_memory<float>();
  const int lane = lane_index(), warp = warp_index();
  const bool reads = inside(first + lane, call.positions);
  float squares[kRowsOfAWarp] = {};
  for (Index dim = 0; dim < call.dims; dim += kTile) {
    for (int row = warp; row < kTile; row += kBlockWarps) {
      const bool there = reads && inside(dim + row, call.dims);
      const Index at = (dim + row) * call.strides.dim + (first + lane) * call.strides.position;
      tile[row * kTileStride + lane] = there ? cuda::to_float(from[at]) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kRowsOfAWarp; ++i) {
      const int row = warp + i * kBlockWarps;
      const float value = tile[lane * kTileStride + row];
      squares[i] += value * value;
      if (!inside(first + row, call.positions)) continue;
      if (!inside(dim + lane, call.length)) continue;
      to[row * call.length + dim + lane] = cuda::from_float<T>(value);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kRowsOfAWarp; ++i) {
    const int row = warp + i * kBlockWarps;
    const float square = cuda::warp_sum(squares[i]);
    if (call.inverse_norm != nullptr && lane == 0 && inside(first + row, call.positions)) {
      call.inverse_norm[image * call.positions + first + row] = cuda::inverse_of_norm(square);
    }
  }
}

inline Error launch_rows(const Rows& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    return cuda::launch(rows_kernel<typename decltype(type)::type>,
                        call.images * cuda::divided_up(call.positions, kTile), kBlockThreads,
                        kTileBytes, stream, call);
  });
}

/// A warp for each row.
template <class From, class T, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) unit_rows_kernel(UnitRows call) {
  const Index row = cuda::row_index<kWarp>();
  if (!inside(row, call.count)) return;
  const Index vectors = call.dims / kWidth;
  const auto* from = static_cast<const From*>(call.from) + row * call.dims;
  float square = 0;
  for (Index i = lane_index(); inside(i, vectors); i += kWarp) {
    const auto values = cuda::load<kWidth>(from + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float value = cuda::to_float(values.values[j]);
      square += value * value;
    }
  }
  const float inverse_norm = cuda::inverse_of_norm(cuda::warp_sum(square));
  if (call.inverse_norm != nullptr && lane_index() == 0) call.inverse_norm[row] = inverse_norm;
  if (call.units == nullptr) return;
  auto* units = static_cast<T*>(call.units) + row * call.length;
  for (Index i = lane_index(); inside(i, call.length / kWidth); i += kWarp) {
    cuda::Vector<From, kWidth> values{};
    if (inside(i, vectors)) values = cuda::load<kWidth>(from + kWidth * i);
    cuda::Vector<T, kWidth> unit;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      unit.values[j] = cuda::from_float<T>(cuda::to_float(values.values[j]) * inverse_norm);
    }
    cuda::store(units + kWidth * i, unit);
  }
}

template <class From, class T>
Error launch_unit_rows_of(const UnitRows& call, Stream stream) {
  const bool vectors = cuda::fits_vectors(call.dims, static_cast<const From*>(call.from),
                                          static_cast<const T*>(call.units));
  return cuda::by_width(vectors, [&](auto width) {
    return cuda::launch(unit_rows_kernel<From, T, decltype(width)::value>,
                        cuda::blocks_for<kWarp>(call.count), kBlockThreads, 0, stream, call);
  });
}

inline Error launch_unit_rows(const UnitRows& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return call.from_type == call.type ? launch_unit_rows_of<T, T>(call, stream)
                                       : launch_unit_rows_of<float, T>(call, stream);
  });
}

/// A warp for each row.
template <class T, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) row_dots_kernel(RowDots call) {
  const Index row = cuda::row_index<kWarp>();
  if (!inside(row, call.count)) return;
  const auto* a = static_cast<const T*>(call.a) + row * call.dims;
  const auto* b = static_cast<const T*>(call.b) + row * call.dims;
  float sum = 0;
  for (Index i = lane_index(); inside(i, call.dims / kWidth); i += kWarp) {
    const auto left = cuda::load<kWidth>(a + kWidth * i),
               right = cuda::load<kWidth>(b + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      sum += cuda::to_float(left.values[j]) * cuda::to_float(right.values[j]);
    }
  }
  sum = cuda::warp_sum(sum);
  if (lane_index() == 0) call.dots[row] = sum;
}

inline Error launch_row_dots(const RowDots& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool vectors =
        cuda::fits_vectors(call.dims, static_cast<const T*>(call.a), static_cast<const T*>(call.b));
    return cuda::by_width(vectors, [&](auto width) {
      return cuda::launch(row_dots_kernel<T, decltype(width)::value>,
                          cuda::blocks_for<kWarp>(call.count), kBlockThreads, 0, stream, call);
    });
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
