// Semantic grouping on CUDA with matrix products inside the kernels, by tensor cores: of all that
// has an entry for each position and slot, the scores alone are written to memory, and their
// gradient. Formulas in cuda_launches.h; sums are float32 whatever the type.
#pragma once

#include <slotcon/kernel/semantic_grouping/cuda_products.h>

#include <algorithm>
#include <tuple>

namespace slotcon::kernel::semantic_grouping::detail {

/// The parts that slots are shared out in where scores are made: one, unless there are so few rows
/// that processors would have no work. On any GPU as many, so that sums are the same on all.
inline Index parts_of_slots(Index rows, Index slots) {
  constexpr Index kBlocks = 264;  // two for each processor of an H200
  constexpr Index kMostParts = 8;
  const Index row_tiles = (rows + kTilePositions - 1) / kTilePositions;
  const Index slot_tiles = (slots + kScoreColumns - 1) / kScoreColumns;
  const Index wanted = row_tiles == 0 ? 1 : kBlocks / row_tiles;
  return std::max<Index>(std::min({wanted, slot_tiles, kMostParts}), 1);
}

inline Forward cuda_forward_by_tiles(const CudaCall& call, const torch::Tensor& features,
                                     const torch::Tensor& prototypes) {
  const Index row_count = call.images * call.positions, width = CudaCall::padded_length(call.slots);
  const Index length = CudaCall::padded_length(call.dims);
  const auto arithmetic = cuda::arithmetic_of(features);
  const auto inverse_norm = call.floats({call.images, call.positions});
  const auto rows = call.padded_rows(features, inverse_norm.data_ptr<float>());
  const auto units = call.units(prototypes, length);

  const Index parts = parts_of_slots(row_count, call.slots);
  const auto scores = call.floats({call.images, call.positions, width});
  const auto partitions = call.floats({parts, row_count});
  const auto ranks = at::empty({parts, row_count}, scores.options().dtype(at::kLong));
  call.launch(
      call.launches.tile_scores,
      {arithmetic, row_count, call.slots, length, width, parts, call.sharpness,
       rows.const_data_ptr(), units.const_data_ptr(), inverse_norm.const_data_ptr<float>(),
       scores.data_ptr<float>(), partitions.data_ptr<float>(), ranks.data_ptr<std::int64_t>()});

  const auto slots = call.numbers({call.images, call.slots, length});
  const auto inverse_partition = call.floats({call.images, call.positions});
  const auto totals = call.floats({call.images, call.slots});
  const auto present = at::empty({call.images, call.slots}, totals.options().dtype(at::kBool));
  call.launch(
      call.launches.tile_means,
      {arithmetic, call.images, call.slots, call.positions, length, width, parts, call.sharpness,
       call.eps, scores.const_data_ptr<float>(), partitions.const_data_ptr<float>(),
       ranks.const_data_ptr<std::int64_t>(), rows.const_data_ptr(), slots.data_ptr(),
       inverse_partition.data_ptr<float>(), totals.data_ptr<float>(), present.data_ptr<bool>()});
  const auto dense = [](const torch::Tensor& padded, Index count) {
    return padded.narrow(2, 0, count).contiguous();
  };
  return {dense(slots, call.dims),
          dense(scores, call.slots).transpose(1, 2),
          present,
          inverse_norm,
          inverse_partition,
          totals};
}

/// The slots' gradient is there. (Without it there is nothing between the products.)
inline std::tuple<torch::Tensor, torch::Tensor> cuda_backward_by_tiles(
    const CudaCall& call, const torch::Tensor& features, const torch::Tensor& prototypes,
    const Forward& forward, const Incoming& incoming, Wanted wanted) {
  const auto padded_rows_of = [](const torch::Tensor& scores) {
    return CudaCall::padded(scores.transpose(1, 2).contiguous());
  };
  const auto rows = call.padded_rows(features, /*inverse_norm=*/nullptr);
  const Index length = rows.size(2);
  const auto units = call.units(prototypes, length);
  const auto scores = padded_rows_of(forward.scores);
  const auto grad_scores = incoming.scores ? padded_rows_of(*incoming.scores) : torch::Tensor();
  const auto dense_grad_slots = incoming.slots->to(call.type).contiguous();
  const auto grad_slots = CudaCall::padded(dense_grad_slots);
  const auto offsets = cuda_offsets(call, dense_grad_slots, forward.slots);
  const auto inverse_totals = forward.totals.reciprocal();
  torch::Tensor spread, slopes, grad_features, grad_prototypes;
  if (wanted.features) {
    const auto shares = (inverse_totals * call.eps).to(call.type).unsqueeze(1);
    spread = cuda::product(shares, grad_slots, at::kFloat);
    grad_features = empty_gradient(features);
  }
  if (wanted.prototypes) slopes = call.numbers(scores.sizes());
  const auto data_or_null = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.data_ptr() : nullptr;
  };
  call.launch(call.launches.tile_gradient,
              {cuda::arithmetic_of(features),
               call.images,
               call.slots,
               call.positions,
               call.dims,
               length,
               scores.size(2),
               call.sharpness,
               scores.const_data_ptr<float>(),
               forward.inverse_norm.const_data_ptr<float>(),
               forward.inverse_partition.const_data_ptr<float>(),
               inverse_totals.const_data_ptr<float>(),
               offsets.const_data_ptr<float>(),
               static_cast<const float*>(data_or_null(grad_scores)),
               rows.const_data_ptr(),
               units.const_data_ptr(),
               grad_slots.const_data_ptr(),
               static_cast<const float*>(data_or_null(spread)),
               data_or_null(slopes),
               data_or_null(grad_features),
               wanted.features ? CudaCall::strides_of(grad_features) : Strides{}});
  if (wanted.prototypes) {
    grad_prototypes =
        cuda_prototype_gradient(call, rows, prototypes, slopes.narrow(2, 0, call.slots));
  }
  return {grad_features, grad_prototypes};
}

}  // namespace slotcon::kernel::semantic_grouping::detail
