// The gradients of semantic grouping, between its matrix products.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_forward.cuh>

namespace slotcon::kernel::semantic_grouping {
inline namespace SLOTCON_VERSIONED {

/// kThreads for each position. All of its slots are gone through twice: for their sum, and to use
/// it.
template <class T, int kThreads, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) slopes_kernel(Slopes call) {
  const Index row = cuda::row_index<kThreads>();
  if (!inside(row, call.images * call.positions)) return;
  const int member = static_cast<int>(threadIdx.x) % kThreads;
  const Index vectors = call.slots / kWidth;
  const Index image = row / call.positions, position = row * call.slots;
  const float* totals = call.totals + image * call.slots;
  const float* offsets = call.offsets + image * call.slots;
  const float inverse_partition = call.inverse_partition[row];
  const auto softmax = [&](float score) {
    return exponential(score, call.sharpness) * inverse_partition;
  };
  float sum = 0;
  for (Index i = member; inside(i, vectors); i += kThreads) {
    const Index slot = kWidth * i;
    const auto score = cuda::load<kWidth>(call.scores + position + slot);
    const auto product = cuda::load<kWidth>(call.products + position + slot);
    const auto total = cuda::load<kWidth>(totals + slot);
    const auto offset = cuda::load<kWidth>(offsets + slot);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      sum += softmax(score.values[j]) / total.values[j] * (product.values[j] - offset.values[j]);
    }
  }
  sum = cuda::group_sum<kThreads>(sum, cuda::shared_memory<float>());
  for (Index i = member; inside(i, vectors); i += kThreads) {
    const Index slot = kWidth * i;
    const auto score = cuda::load<kWidth>(call.scores + position + slot);
    const auto product = cuda::load<kWidth>(call.products + position + slot);
    const auto total = cuda::load<kWidth>(totals + slot);
    const auto offset = cuda::load<kWidth>(offsets + slot);
    cuda::Vector<float, kWidth> incoming{};
    if (call.grad_scores != nullptr) {
      incoming = cuda::load<kWidth>(call.grad_scores + position + slot);
    }
    cuda::Vector<T, kWidth> slopes, weights;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float p = softmax(score.values[j]);
      const float v = p / total.values[j] * (product.values[j] - offset.values[j]);
      slopes.values[j] = cuda::from_float<T>((v - p * sum) * call.sharpness + incoming.values[j]);
      weights.values[j] = cuda::from_float<T>((p + call.eps) / total.values[j]);
    }
    cuda::store(static_cast<T*>(call.slopes) + position + slot, slopes);
    if (call.weights != nullptr) {
      cuda::store(static_cast<T*>(call.weights) + position + slot, weights);
    }
  }
}

inline Error launch_slopes(const Slopes& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool vectors = cuda::fits_vectors(
        call.slots, call.scores, call.totals, call.products, call.offsets, call.grad_scores,
        static_cast<const T*>(call.slopes), static_cast<const T*>(call.weights));
    return cuda::by_row_length(call.slots, [&](auto threads) {
      constexpr int kThreads = decltype(threads)::value;
      return cuda::by_width(vectors, [&](auto width) {
        return cuda::launch(slopes_kernel<T, kThreads, decltype(width)::value>,
                            cuda::blocks_for<kThreads>(call.images * call.positions), kBlockThreads,
                            cuda::group_sum_bytes<kThreads>(), stream, call);
      });
    });
  });
}

/// A block for kTile positions of an image, a warp for each in turn: lanes along dims, and to write
/// through a tile along positions, unless the dims of a position are together.
template <class T, bool kThroughTile>
__global__ void __launch_bounds__(kBlockThreads) feature_gradient_kernel(FeatureGradient call) {
  constexpr int kRowsOfAWarp = kTile / kBlockWarps;
  const Index blocks = cuda::divided_up(call.positions, kTile);
  const Index image = blockIdx.x / blocks, first = blockIdx.x % blocks * kTile;
  const Index first_row = image * call.positions + first;
  const auto* rows = static_cast<const T*>(call.rows);
  auto* to = static_cast<T*>(call.gradient) + image * call.strides.image;
  auto* tile = cuda::shared_memory<float>();
  const int lane = lane_index(), warp = warp_index();
  float inverse_norms[kRowsOfAWarp], along[kRowsOfAWarp];
#pragma unroll
  for (int i = 0; i < kRowsOfAWarp; ++i) {
    const int row = warp + i * kBlockWarps;
    inverse_norms[i] = along[i] = 0;
    if (!inside(first + row, call.positions)) continue;
    inverse_norms[i] = call.inverse_norm[first_row + row];
    const Index start = (first_row + row) * call.dims;
    float sum = 0;
    for (Index dim = lane; inside(dim, call.dims); dim += kWarp) {
      sum += call.pulled[start + dim] * (cuda::to_float(rows[start + dim]) * inverse_norms[i]);
    }
    sum = cuda::warp_sum(sum);
    along[i] = cuda::norm_is_floor(inverse_norms[i]) ? 0.0f : sum;
  }
  for (Index dim = 0; dim < call.dims; dim += kTile) {
#pragma unroll
    for (int i = 0; i < kRowsOfAWarp; ++i) {
      const int row = warp + i * kBlockWarps;
      if (!inside(first + row, call.positions)) continue;
      if (!inside(dim + lane, call.dims)) continue;
      const Index at = (first_row + row) * call.dims + dim + lane;
      const float unit = cuda::to_float(rows[at]) * inverse_norms[i];
      float value = (call.pulled[at] - along[i] * unit) * inverse_norms[i];
      if (call.pooled != nullptr) value += call.pooled[at];
      if constexpr (kThroughTile) {
        tile[lane * kTileStride + row] = value;
      } else {
        to[(first + row) * call.strides.position + dim + lane] = cuda::from_float<T>(value);
      }
    }
    if constexpr (kThroughTile) {
      __syncthreads();
      for (int row = warp; row < kTile; row += kBlockWarps) {
        if (!inside(dim + row, call.dims)) continue;
        if (!inside(first + lane, call.positions)) continue;
        const Index at = (dim + row) * call.strides.dim + (first + lane) * call.strides.position;
        to[at] = cuda::from_float<T>(tile[row * kTileStride + lane]);
      }
      __syncthreads();
    }
  }
}

inline Error launch_feature_gradient(const FeatureGradient& call, Stream stream) {
  return cuda::by_type(call.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const Index blocks = call.images * cuda::divided_up(call.positions, kTile);
    return call.strides.dim == 1 ? cuda::launch(feature_gradient_kernel<T, false>, blocks,
                                                kBlockThreads, 0, stream, call)
                                 : cuda::launch(feature_gradient_kernel<T, true>, blocks,
                                                kBlockThreads, kTileBytes, stream, call);
  });
}

/// A warp for each prototype.
template <int kWidth>
__global__ void __launch_bounds__(kBlockThreads) prototype_gradient_kernel(PrototypeGradient call) {
  const Index row = cuda::row_index<kWarp>();
  if (!inside(row, call.slots)) return;
  const Index vectors = call.dims / kWidth;
  const float* prototype = call.prototypes + row * call.dims;
  const float* grad_unit = call.grad_units + row * call.dims;
  float square = 0, product = 0;
  for (Index i = lane_index(); inside(i, vectors); i += kWarp) {
    const auto s = cuda::load<kWidth>(prototype + kWidth * i);
    const auto u = cuda::load<kWidth>(grad_unit + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      square += s.values[j] * s.values[j];
      product += s.values[j] * u.values[j];
    }
  }
  const float inverse_norm = cuda::inverse_of_norm(cuda::warp_sum(square));
  const float dot = cuda::warp_sum(product) * inverse_norm;
  const float along = cuda::norm_is_floor(inverse_norm) ? 0.0f : dot;
  for (Index i = lane_index(); inside(i, vectors); i += kWarp) {
    const auto s = cuda::load<kWidth>(prototype + kWidth * i);
    auto u = cuda::load<kWidth>(grad_unit + kWidth * i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      u.values[j] = (u.values[j] - along * (s.values[j] * inverse_norm)) * inverse_norm;
    }
    cuda::store(call.gradient + row * call.dims + kWidth * i, u);
  }
}

inline Error launch_prototype_gradient(const PrototypeGradient& call, Stream stream) {
  const bool vectors =
      cuda::fits_vectors(call.dims, call.prototypes, call.grad_units, call.gradient);
  return cuda::by_width(vectors, [&](auto width) {
    return cuda::launch(prototype_gradient_kernel<decltype(width)::value>,
                        cuda::blocks_for<kWarp>(call.slots), kBlockThreads, 0, stream, call);
  });
}

}  // namespace SLOTCON_VERSIONED
}  // namespace slotcon::kernel::semantic_grouping
