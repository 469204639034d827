// The fused CUDA kernels of semantic grouping: float32, bfloat16 and float16.
//
// The matrix products are LibTorch's, whose settings hold (TF32, say); kernels of their own do what
// is between them. Formulas in cuda_launches.h; sums are float32 whatever the type.
#pragma once

#include <slotcon/core/precision.h>
#include <slotcon/kernel/cuda/launcher.h>
#include <slotcon/kernel/semantic_grouping/cpu.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

namespace detail {

/// One call: its sizes, its numbers, and the tensors it allocates.
class CudaCall {
 public:
  CudaCall(const torch::Tensor& features, const torch::Tensor& prototypes, double temperature,
           double added)
      : images(features.size(0)),
        dims(features.size(1)),
        positions(features.size(2)),
        slots(prototypes.size(0)),
        sharpness(static_cast<float>(1 / temperature)),
        eps(static_cast<float>(added)),
        scalar(cuda::scalar_of(features)),
        type(features.scalar_type()),
        launches(cuda::kernels().semantic_grouping),
        launch(features, "semantic_grouping"),
        options_(features.options()) {}

  torch::Tensor floats(at::IntArrayRef sizes) const {
    return at::empty(sizes, options_.dtype(at::kFloat));
  }
  torch::Tensor numbers(at::IntArrayRef sizes) const { return at::empty(sizes, options_); }

  /// Features as [B,N,D], dense; where `inverse_norm` is given, [B,N], it is filled.
  torch::Tensor rows(const torch::Tensor& features, float* inverse_norm) const {
    const auto given = features.transpose(1, 2);
    if (given.is_contiguous()) {
      if (inverse_norm != nullptr) unit_rows(given, nullptr, inverse_norm);
      return given;
    }
    auto result = numbers({images, positions, dims});
    launch(launches.rows, {scalar, images, dims, positions, features.const_data_ptr(),
                           strides_of(features), result.data_ptr(), inverse_norm});
    return result;
  }

  /// Rows [..., D] at unit length, of the features' type.
  torch::Tensor units(const torch::Tensor& rows) const {
    auto result = numbers(rows.sizes());
    unit_rows(rows, result.data_ptr(), nullptr);
    return result;
  }

  static Strides strides_of(const torch::Tensor& features) {
    return {features.stride(0), features.stride(1), features.stride(2)};
  }

  const Index images, dims, positions, slots;
  const float sharpness, eps;
  const cuda::Scalar scalar;
  const at::ScalarType type;
  const Launches& launches;
  const cuda::Launcher launch;

 private:
  void unit_rows(const torch::Tensor& rows, void* units, float* inverse_norm) const {
    launch(launches.unit_rows, {cuda::scalar_of(rows), scalar, rows.numel() / dims, dims,
                                rows.const_data_ptr(), units, inverse_norm});
  }

  const AutocastOff precise_;
  const torch::TensorOptions options_;
};

/// The gradient of the scores, [B,N,K], and what the slots pull at the features directly, [B,N,D].
struct CudaSlopes {
  torch::Tensor slopes, pooled;
};

inline CudaSlopes cuda_slopes(const CudaCall& call, const torch::Tensor& rows,
                              const Forward& forward, const Incoming& incoming, Wanted wanted) {
  torch::Tensor grad_scores;
  if (incoming.scores) grad_scores = incoming.scores->transpose(1, 2).contiguous();
  if (!incoming.slots) return {grad_scores.to(call.type), {}};

  const auto grad_slots = incoming.slots->to(call.type).contiguous();
  const auto offsets = call.floats({call.images, call.slots});
  call.launch(call.launches.row_dots,
              {call.scalar, call.images * call.slots, call.dims, grad_slots.const_data_ptr(),
               forward.slots.const_data_ptr(), offsets.data_ptr<float>()});

  const auto products = cuda::product(rows, grad_slots.transpose(1, 2), at::kFloat);
  CudaSlopes result;
  result.slopes = call.type == at::kFloat ? products : call.numbers(products.sizes());
  const auto weights = wanted.features ? call.numbers(products.sizes()) : torch::Tensor();
  const auto scores = forward.scores.transpose(1, 2).contiguous();
  call.launch(call.launches.slopes,
              {call.scalar, call.images, call.slots, call.positions, call.sharpness, call.eps,
               scores.const_data_ptr<float>(), forward.inverse_partition.const_data_ptr<float>(),
               forward.totals.const_data_ptr<float>(), products.const_data_ptr<float>(),
               offsets.const_data_ptr<float>(),
               incoming.scores ? grad_scores.const_data_ptr<float>() : nullptr,
               result.slopes.data_ptr(), wanted.features ? weights.data_ptr() : nullptr});
  if (wanted.features) result.pooled = cuda::product(weights, grad_slots, at::kFloat);
  return result;
}

inline torch::Tensor cuda_feature_gradient(const CudaCall& call, const torch::Tensor& features,
                                           const torch::Tensor& rows,
                                           const torch::Tensor& prototypes, const Forward& forward,
                                           const CudaSlopes& slopes) {
  const auto pulled =
      cuda::product(slopes.slopes.flatten(0, 1), call.units(prototypes), at::kFloat);
  auto gradient = empty_gradient(features);
  call.launch(
      call.launches.feature_gradient,
      {call.scalar, call.images, call.dims, call.positions, rows.const_data_ptr(),
       forward.inverse_norm.const_data_ptr<float>(),
       slopes.pooled.defined() ? slopes.pooled.const_data_ptr<float>() : nullptr,
       pulled.const_data_ptr<float>(), gradient.data_ptr(), CudaCall::strides_of(gradient)});
  return gradient;
}

inline torch::Tensor cuda_prototype_gradient(const CudaCall& call, const torch::Tensor& rows,
                                             const torch::Tensor& prototypes,
                                             const torch::Tensor& slopes) {
  const auto grad_units =
      cuda::product(slopes.flatten(0, 1).t(), call.units(rows).flatten(0, 1), at::kFloat);
  auto gradient = at::empty(prototypes.sizes(), prototypes.options());
  call.launch(call.launches.prototype_gradient,
              {call.slots, call.dims, prototypes.const_data_ptr<float>(),
               grad_units.const_data_ptr<float>(), gradient.data_ptr<float>()});
  return gradient;
}

}  // namespace detail

/// Forward pass of features [B,D,N], of any strides, and prototypes [K,D], float32. The slots have
/// the features' type, the rest is float32; the scores are a view of [B,N,K].
inline Forward cuda_forward(const torch::Tensor& features, const torch::Tensor& prototypes,
                            double temperature, double eps) {
  const detail::CudaCall call(features, prototypes, temperature, eps);
  const auto inverse_norm = call.floats({call.images, call.positions});
  const auto inverse_partition = call.floats({call.images, call.positions});
  const auto totals = call.floats({call.images, call.slots});
  const auto winners = at::empty({call.images, call.positions}, totals.options().dtype(at::kInt));
  const auto present = at::empty({call.images, call.slots}, totals.options().dtype(at::kBool));
  const auto rows = call.rows(features, inverse_norm.data_ptr<float>());
  const auto units = call.units(prototypes.contiguous());
  const auto scores = cuda::product(rows.flatten(0, 1), units.t(), at::kFloat)
                          .view({call.images, call.positions, call.slots});
  call.launch(call.launches.scores, {call.images * call.positions, call.slots, call.sharpness,
                                     inverse_norm.const_data_ptr<float>(), scores.data_ptr<float>(),
                                     inverse_partition.data_ptr<float>(), winners.data_ptr<int>()});
  const auto weights = call.numbers(scores.sizes());
  call.launch(call.launches.weights,
              {call.scalar, call.images, call.slots, call.positions, call.sharpness, call.eps,
               scores.const_data_ptr<float>(), inverse_partition.const_data_ptr<float>(),
               winners.const_data_ptr<int>(), weights.data_ptr(), totals.data_ptr<float>(),
               present.data_ptr<bool>()});
  const auto slots = cuda::product(weights.transpose(1, 2), rows, call.type);
  return {slots, scores.transpose(1, 2), present, inverse_norm, inverse_partition, totals};
}

/// Backward pass: the gradients of features, in their type and memory order, and of prototypes,
/// float32; undefined where not wanted.
inline std::tuple<torch::Tensor, torch::Tensor> cuda_backward(
    const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
    const Incoming& incoming, double temperature, double eps, Wanted wanted) {
  const detail::CudaCall call(features, prototypes, temperature, eps);
  const auto table = prototypes.contiguous();
  const auto rows = call.rows(features, /*inverse_norm=*/nullptr);
  const auto slopes = detail::cuda_slopes(call, rows, forward, incoming, wanted);
  torch::Tensor grad_features, grad_prototypes;
  if (wanted.features) {
    grad_features = detail::cuda_feature_gradient(call, features, rows, table, forward, slopes);
  }
  if (wanted.prototypes) {
    grad_prototypes = detail::cuda_prototype_gradient(call, rows, table, slopes.slopes);
  }
  return {grad_features, grad_prototypes};
}

}  // namespace slotcon::kernel::semantic_grouping
