// Before and after the contrast: rows at unit length, and gradients by rows of any length.
#pragma once

#include <slotcon/kernel/slot_info_nce/cuda_work.cuh>

namespace slotcon::kernel::slot_info_nce {
inline namespace SLOTCON_VERSIONED {

/// A warp for each row, also for those that fill the last tile, which are zeros.
template <class Tiles>
__global__ void __launch_bounds__(kBlockThreads) units_kernel(Units call) {
  using Number = typename Tiles::Number;
  const int count = counted(call.set);
  const Index row = cuda::row_index<kWarp>();
  if (row >= cuda::divided_up(count, kTile) * kTile) return;
  const bool there = inside<Index>(row, count);
  const Index place = there ? place_in(call.set, row) : 0;
  const auto* from = static_cast<const Number*>(call.vectors) + place * call.dims;
  float square = 0;
  for (Index dim = lane_index(); there && inside(dim, call.dims); dim += kWarp) {
    const float value = cuda::to_float(from[dim]);
    square += value * value;
  }
  const float inverse_norm = cuda::inverse_of_norm(cuda::warp_sum(square));
  if (there && lane_index() == 0) call.inverse_norms[row] = inverse_norm;
  auto* to = static_cast<Number*>(call.units) + row * call.length;
  for (Index dim = lane_index(); inside(dim, call.length); dim += kWarp) {
    const bool value = there && inside(dim, call.dims);
    to[dim] = Tiles::number(value ? cuda::to_float(from[dim]) * inverse_norm : 0.0f);
  }
}

inline Error launch_units(const Units& call, Stream stream) {
  return by_arithmetic(call.arithmetic, [&](auto type) {
    return cuda::launch(units_kernel<typename decltype(type)::type>,
                        cuda::blocks_for<kWarp>(tiles_of(call.set.capacity) * kTile), kBlockThreads,
                        0, stream, call);
  });
}

/// The parts of a column's sums, added: those of all pieces are [pieces,kTile,width].
class Parts {
 public:
  __device__ Parts(const Work& work, Index column)
      : work_(work), tile_(static_cast<int>(column / kTile)), within_(column % kTile) {}

  __device__ float sum(const float* parts, Index width, Index element) const {
    float sum = 0;
    for (int part = 0; part < work_.parts(); ++part) {
      sum += parts[(work_.piece(tile_, part) * kTile + within_) * width + element];
    }
    return sum;
  }

 private:
  const Work& work_;
  const int tile_;
  const Index within_;
};

/// A warp for each column.
template <class Tiles>
__global__ void __launch_bounds__(kBlockThreads) gradient_kernel(Gradient call) {
  using Number = typename Tiles::Number;
  const Index column = cuda::row_index<kWarp>();
  if (!inside(column, call.columns.capacity)) return;
  const int columns = counted(call.columns);
  if (!inside<Index>(column, columns)) {
    if (call.gradient == nullptr || call.columns.places != nullptr) return;
    float* const gradient = call.gradient + column * call.dims;
    for (Index dim = lane_index(); inside(dim, call.dims); dim += kWarp) gradient[dim] = 0;
    return;
  }
  const int rows = counted(call.rows);
  const Work work(columns, rows);
  const Parts parts(work, column);
  float share = 1 / Tiles::kWeightScale, pull = 0;  // of the mixture, of the positive
  const Number* positive = nullptr;
  if (call.totals != nullptr) {
    const float total = parts.sum(call.totals, 1, 0);
    share /= total;
    const Index place = call.positive[column];
    if (place >= 0 && place < rows) {
      positive =
          static_cast<const Number*>(call.row_vectors) + place_in(call.rows, place) * call.dims;
      pull = call.row_inverse_norms[place];
    }
    if (lane_index() == 0) {
      call.losses[column] = logf(total) - logf(parts.sum(call.marked, 1, 0));
      call.inverse_totals[column] = 1 / total;
    }
  }
  if (call.gradient == nullptr) return;
  const Index first = place_in(call.columns, column) * call.dims;
  const auto* vector = static_cast<const Number*>(call.vectors) + first;
  float* const gradient = call.gradient + first;
  const float inverse_norm = call.inverse_norms[column];
  const int width = strip_width(call.length);
  float along = 0;
  for (Index dim = lane_index(); inside(dim, call.dims); dim += kWarp) {
    const float* const strip = call.mixtures + dim / width * call.pieces * kTile * width;
    float value = parts.sum(strip, width, dim % width) * share;
    if (positive != nullptr) value -= cuda::to_float(positive[dim]) * pull;
    gradient[dim] = value;
    along += value * (cuda::to_float(vector[dim]) * inverse_norm);
  }
  along = cuda::warp_sum(along);
  if (cuda::norm_is_floor(inverse_norm)) along = 0;
  const int queries = counted(call.queries);
  const float scale = queries == 0 ? 0.0f : 2 * inverse_norm / static_cast<float>(queries);
  for (Index dim = lane_index(); inside(dim, call.dims); dim += kWarp) {
    const float unit = cuda::to_float(vector[dim]) * inverse_norm;
    gradient[dim] = (gradient[dim] - along * unit) * scale;
  }
}

inline Error launch_gradient(const Gradient& call, Stream stream) {
  return by_arithmetic(call.arithmetic, [&](auto type) {
    return cuda::launch(gradient_kernel<typename decltype(type)::type>,
                        cuda::blocks_for<kWarp>(call.columns.capacity), kBlockThreads, 0, stream,
                        call);
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::slot_info_nce
