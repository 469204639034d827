// Semantic grouping on CUDA with LibTorch's matrix products, whose settings hold (TF32, say), and
// kernels for what is between them. Formulas in cuda_launches.h; sums are float32 whatever the
// type.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_call.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping::detail {

/// The gradient of the scores, [B,N,K], and what the slots pull at the features directly, [B,N,D].
struct CudaSlopes {
  torch::Tensor slopes, pooled;
};

/// The dot products of the slots and their gradient, [B,K].
inline torch::Tensor cuda_offsets(const CudaCall& call, const torch::Tensor& grad_slots,
                                  const torch::Tensor& slots) {
  const auto offsets = call.floats({call.images, call.slots});
  call.launch(call.launches.row_dots,
              {call.scalar, call.images * call.slots, call.dims, grad_slots.const_data_ptr(),
               slots.const_data_ptr(), offsets.data_ptr<float>()});
  return offsets;
}

inline CudaSlopes cuda_slopes(const CudaCall& call, const torch::Tensor& rows,
                              const Forward& forward, const Incoming& incoming, Wanted wanted) {
  torch::Tensor grad_scores;
  if (incoming.scores) grad_scores = incoming.scores->transpose(1, 2).contiguous();
  if (!incoming.slots) return {grad_scores.to(call.type), {}};

  const auto grad_slots = incoming.slots->to(call.type).contiguous();
  const auto offsets = cuda_offsets(call, grad_slots, forward.slots);
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

/// From slopes [B,N,K] and features [B,N,D], or longer rows with zeros at their ends.
inline torch::Tensor cuda_prototype_gradient(const CudaCall& call, const torch::Tensor& rows,
                                             const torch::Tensor& prototypes,
                                             const torch::Tensor& slopes) {
  const auto grad_units =
      cuda::product(slopes.flatten(0, 1).t(), call.units(rows).flatten(0, 1), at::kFloat)
          .narrow(1, 0, call.dims)
          .contiguous();
  auto gradient = at::empty(prototypes.sizes(), prototypes.options());
  call.launch(call.launches.prototype_gradient,
              {call.slots, call.dims, prototypes.const_data_ptr<float>(),
               grad_units.const_data_ptr<float>(), gradient.data_ptr<float>()});
  return gradient;
}

inline Forward cuda_forward_by_products(const CudaCall& call, const torch::Tensor& features,
                                        const torch::Tensor& prototypes) {
  const auto inverse_norm = call.floats({call.images, call.positions});
  const auto inverse_partition = call.floats({call.images, call.positions});
  const auto totals = call.floats({call.images, call.slots});
  const auto winners = at::empty({call.images, call.positions}, totals.options().dtype(at::kInt));
  const auto present = at::empty({call.images, call.slots}, totals.options().dtype(at::kBool));
  const auto rows = call.rows(features, inverse_norm.data_ptr<float>());
  const auto units = call.units(prototypes);
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

inline std::tuple<torch::Tensor, torch::Tensor> cuda_backward_by_products(
    const CudaCall& call, const torch::Tensor& features, const torch::Tensor& prototypes,
    const Forward& forward, const Incoming& incoming, Wanted wanted) {
  const auto rows = call.rows(features, /*inverse_norm=*/nullptr);
  const auto slopes = cuda_slopes(call, rows, forward, incoming, wanted);
  torch::Tensor grad_features, grad_prototypes;
  if (wanted.features) {
    grad_features = cuda_feature_gradient(call, features, rows, prototypes, forward, slopes);
  }
  if (wanted.prototypes) {
    grad_prototypes = cuda_prototype_gradient(call, rows, prototypes, slopes.slopes);
  }
  return {grad_features, grad_prototypes};
}

}  // namespace slotcon::kernel::semantic_grouping::detail
