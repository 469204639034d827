// Slot InfoNCE by CUDA kernels, without the matrix of logits: queries meet the keys tile by tile.
//
// How many queries and keys there are may be known to the device alone.
#pragma once

#include <slotcon/kernel/cuda/launcher.h>
#include <slotcon/kernel/slot_info_nce/cuda_launches.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>

namespace slotcon::kernel::slot_info_nce {

/// Rows [capacity,D] of any length, of which the first `count` are there: [1] int64 on their
/// device, or undefined where all are. Float32, bfloat16 or float16.
struct CudaRows {
  torch::Tensor vectors, count;
};

/// The loss, 0-d float32; its gradient by the queries [capacity,D] float32, undefined unless asked
/// for; what the gradient by the keys needs.
struct CudaForward {
  torch::Tensor loss, by_queries, inverse_totals;
};

namespace detail {

/// Rows of numbers as the tensor cores multiply them, at unit length and padded.
struct CudaUnits {
  torch::Tensor vectors, inverse_norms;
};

/// The parts of the sums of a contrast; undefined where not asked for.
struct CudaParts {
  torch::Tensor totals, marked, mixtures;
};

/// One call: its sizes, its numbers, and the tensors it allocates.
class CudaContrast {
 public:
  CudaContrast(const CudaRows& queries, const CudaRows& keys, double temperature)
      : launches(cuda::kernels().slot_info_nce),
        launch(queries.vectors, "slot_info_nce"),
        arithmetic(cuda::arithmetic_of(queries.vectors)),
        dims(queries.vectors.size(1)),
        length(padded_length(dims, arithmetic)),
        queries_{queries.vectors.contiguous(), queries.count},
        keys_{keys.vectors.contiguous(), keys.count},
        sharpness_(static_cast<float>(1 / temperature)),
        options_(queries.vectors.options()) {}

  torch::Tensor floats(at::IntArrayRef sizes) const {
    return at::empty(sizes, options_.dtype(at::kFloat));
  }

  const CudaRows& queries() const { return queries_; }
  const CudaRows& keys() const { return keys_; }

  static Set set_of(const CudaRows& rows) { return {rows.vectors.size(0), int64s(rows.count)}; }

  CudaUnits units_of(const CudaRows& rows) const {
    const Index capacity = rows.vectors.size(0);
    const CudaUnits units{at::empty({tiles_of(capacity) * kTile, length}, options_),
                          floats({capacity})};
    launch(launches.units, {arithmetic, set_of(rows), dims, length, rows.vectors.const_data_ptr(),
                            units.vectors.data_ptr(), units.inverse_norms.data_ptr<float>()});
    return units;
  }

  /// The queries against the keys.
  CudaParts by_queries(const CudaUnits& queries, const CudaUnits& keys,
                       const torch::Tensor& positive, bool with_mixtures) const {
    const Index pieces = pieces_of(queries_.vectors.size(0));
    const Index strips = with_mixtures ? strips_of(length) : 1;
    CudaParts parts{floats({strips, pieces, kTile}), floats({strips, pieces, kTile}), {}};
    if (with_mixtures) parts.mixtures = mixtures_of(pieces);
    launch(launches.contrast,
           {arithmetic, with_mixtures ? Pass::kByQueries : Pass::kLoss, set_of(queries_),
            set_of(keys_), pieces, length, sharpness_, queries.vectors.const_data_ptr(),
            keys.vectors.const_data_ptr(), int64s(positive), /*weights=*/nullptr,
            parts.totals.data_ptr<float>(), parts.marked.data_ptr<float>(),
            with_mixtures ? parts.mixtures.data_ptr<float>() : nullptr});
    return parts;
  }

  /// The keys against the queries, each with the inverse of its total as weight.
  torch::Tensor by_keys(const CudaUnits& queries, const CudaUnits& keys,
                        const torch::Tensor& positive, const torch::Tensor& inverse_totals) const {
    const Index pieces = pieces_of(keys_.vectors.size(0));
    const auto mixtures = mixtures_of(pieces);
    launch(launches.contrast,
           {arithmetic, Pass::kByKeys, set_of(keys_), set_of(queries_), pieces, length, sharpness_,
            keys.vectors.const_data_ptr(), queries.vectors.const_data_ptr(), int64s(positive),
            inverse_totals.const_data_ptr<float>(), /*totals=*/nullptr, /*marked=*/nullptr,
            mixtures.data_ptr<float>()});
    return mixtures;
  }

  const Launches& launches;
  const cuda::Launcher launch;
  const Arithmetic arithmetic;
  const Index dims, length;

 private:
  static const std::int64_t* int64s(const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.const_data_ptr<std::int64_t>() : nullptr;
  }

  torch::Tensor mixtures_of(Index pieces) const {
    return floats({strips_of(length), pieces, kTile, std::min<Index>(length, kStrip)});
  }

  const CudaRows queries_, keys_;  // dense
  const float sharpness_;
  const torch::TensorOptions options_;
};

}  // namespace detail

/// The loss of `reference` for rows of any length, whose norms are not below 1e-12, and its
/// gradient by the queries: one pass over the keys. `positive` [capacity of queries] int64, dense;
/// a place that is not among the keys makes the loss infinite. No query: 0 and zeros.
///
/// Memory beside the gradient: O((n + m) D). Equal from run to run and on any GPU of one kind.
/// Temperatures of at least kLowestTemperature, for float16 of at least 0.1.
inline CudaForward cuda_forward(const CudaRows& queries, const CudaRows& keys,
                                const torch::Tensor& positive, double temperature,
                                bool with_gradient) {
  const detail::CudaContrast call(queries, keys, temperature);
  const auto place = positive.contiguous();
  const auto query_units = call.units_of(call.queries()), key_units = call.units_of(call.keys());
  const auto parts = call.by_queries(query_units, key_units, place, with_gradient);
  const auto capacity = queries.vectors.size(0);
  const auto losses = call.floats({capacity});
  CudaForward result;
  result.inverse_totals = call.floats({capacity});
  if (with_gradient) result.by_queries = call.floats(queries.vectors.sizes());
  const auto set = call.set_of(queries);
  call.launch(
      call.launches.gradient,
      {call.arithmetic, set, call.set_of(keys), set, pieces_of(capacity), call.dims, call.length,
       call.queries().vectors.const_data_ptr(), query_units.inverse_norms.const_data_ptr<float>(),
       call.keys().vectors.const_data_ptr(), key_units.inverse_norms.const_data_ptr<float>(),
       place.const_data_ptr<std::int64_t>(), parts.totals.const_data_ptr<float>(),
       parts.marked.const_data_ptr<float>(), losses.data_ptr<float>(),
       result.inverse_totals.data_ptr<float>(),
       with_gradient ? parts.mixtures.const_data_ptr<float>() : nullptr,
       with_gradient ? result.by_queries.data_ptr<float>() : nullptr});
  result.loss = cuda::mean(call.launches.mean, call.launch, losses, 2 * temperature, queries.count);
  return result;
}

/// The gradient by the keys [capacity,D] float32, after cuda_forward() of the same arguments: one
/// pass over the queries.
inline torch::Tensor cuda_gradient_by_keys(const CudaRows& queries, const CudaRows& keys,
                                           const torch::Tensor& positive,
                                           const CudaForward& forward, double temperature) {
  const detail::CudaContrast call(queries, keys, temperature);
  const auto query_units = call.units_of(call.queries()), key_units = call.units_of(call.keys());
  const auto mixtures =
      call.by_keys(query_units, key_units, positive.contiguous(), forward.inverse_totals);
  const auto gradient = call.floats(keys.vectors.sizes());
  const auto set = call.set_of(queries);
  Gradient by_keys{};  // without what queries alone have
  by_keys.arithmetic = call.arithmetic;
  by_keys.columns = call.set_of(keys);
  by_keys.rows = by_keys.queries = set;
  by_keys.pieces = pieces_of(keys.vectors.size(0));
  by_keys.dims = call.dims;
  by_keys.length = call.length;
  by_keys.vectors = call.keys().vectors.const_data_ptr();
  by_keys.inverse_norms = key_units.inverse_norms.const_data_ptr<float>();
  by_keys.mixtures = mixtures.const_data_ptr<float>();
  by_keys.gradient = gradient.data_ptr<float>();
  call.launch(call.launches.gradient, by_keys);
  return gradient;
}

}  // namespace slotcon::kernel::slot_info_nce
