// The operators of slot InfoNCE, in one process.
#pragma once

#include <python/ops/operators.h>
#include <slotcon/core/precision.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/types.h>

#include <array>
#include <cstddef>
#include <tuple>

namespace slotcon::ops {

namespace contrast = kernel::slot_info_nce;

/// A loss, 0-d, and its gradients by queries and keys, empty where not wanted: all in the type that
/// they are computed in, dense.
using ContrastLoss = std::tuple<Tensor, Tensor, Tensor>;

namespace detail {

using Wanted = std::array<bool, 2>;  // by queries, by keys

/// The passes over rows of float32 on the CPU.
inline LossAndGradients cpu_passes(const Tensor& queries, const Tensor& keys,
                                   const Tensor& positive, double temperature, Wanted wanted,
                                   const char* who) {
  const auto forward = contrast::cpu_forward(queries, keys, positive, temperature, wanted[0], who);
  const double factor = 2.0 / static_cast<double>(queries.size(0));
  return {
      forward.loss,
      {wanted[0] ? forward.by_queries.mul_(factor) : Tensor(),
       wanted[1] ? contrast::cpu_gradient_by_keys(forward, temperature).mul_(factor) : Tensor()}};
}

/// The passes over rows, or those that are picked of them, on a CUDA device.
inline LossAndGradients cuda_passes(const contrast::CudaRows& queries,
                                    const contrast::CudaRows& keys, const Tensor& positive,
                                    double temperature, Wanted wanted) {
  const auto forward = contrast::cuda_forward(queries, keys, positive, temperature, wanted[0]);
  return {forward.loss,
          {forward.by_queries, wanted[1] ? contrast::cuda_gradient_by_keys(queries, keys, positive,
                                                                           forward, temperature)
                                         : Tensor()}};
}

/// `functional::info_nce` with its gradients, undefined where not wanted.
inline LossAndGradients contrast_rows(const Tensor& queries, const Tensor& keys,
                                      const Tensor& positive, double temperature, Wanted wanted) {
  constexpr auto who = "info_nce";
  const auto options = SlotInfoNCEOptions().temperature(temperature);
  slotcon::detail::check_rows(queries, keys, positive, options, who);
  const auto type = compute_type(queries.scalar_type(), who);
  const bool fused = is_fused(queries, contrast::choose(queries, keys, positive, temperature), who);
  if (queries.size(0) == 0 || !fused) {
    const variable_list leaves{leaf_of(queries, type), leaf_of(keys, type)};
    return by_autograd(leaves, wanted[0] || wanted[1], [&] {
      return functional::info_nce(leaves[0], leaves[1], positive, options);
    });
  }
  if (!queries.is_cuda()) {
    return cpu_passes(queries.to(type), keys.to(type), positive, temperature, wanted, who);
  }
  const auto cuda_type = contrast::detail::cuda_type(queries, keys, temperature);
  return cuda_passes({queries.to(cuda_type)}, {keys.to(cuda_type)}, positive, temperature, wanted);
}

/// `functional::slot_info_nce` by the masks, which the kernels for CUDA read themselves.
inline LossAndGradients contrast_masks(const Tensor& anchors, const Tensor& keys,
                                       const Tensor& anchor_present, const Tensor& key_present,
                                       double temperature, Wanted wanted) {
  slotcon::detail::check_presence(anchor_present, key_present);
  const auto key_mask = key_present.flatten();
  const auto [picked, positive] =
      contrast::pick_pairs(anchor_present.flatten() & key_mask, key_mask);
  const auto type = contrast::detail::cuda_type(anchors, keys, temperature);
  return cuda_passes({anchors.flatten(0, 1).to(type), picked.query_count, picked.query_places},
                     {keys.flatten(0, 1).to(type), picked.key_count, picked.key_places}, positive,
                     temperature, wanted);
}

/// [B,K,D] with the rows at `places` of B K, 0 elsewhere; undefined if the rows are.
inline Tensor spread(const Tensor& rows, const Tensor& places, const Tensor& like) {
  if (!rows.defined()) return rows;
  const auto all = at::zeros({like.size(0) * like.size(1), like.size(2)}, rows.options());
  return all.index_copy_(0, places, rows).view(like.sizes());
}

/// `functional::slot_info_nce` by the slots that are present.
inline LossAndGradients contrast_slots(const Tensor& anchors, const Tensor& keys,
                                       const Tensor& anchor_present, const Tensor& key_present,
                                       double temperature, Wanted wanted) {
  const auto pairs = functional::pair_slots(anchor_present, key_present);
  const auto [loss, gradients] = contrast_rows(anchors.flatten(0, 1).index_select(0, pairs.anchors),
                                               keys.flatten(0, 1).index_select(0, pairs.keys),
                                               pairs.positive, temperature, wanted);
  return {loss,
          {spread(gradients[0], pairs.anchors, anchors), spread(gradients[1], pairs.keys, keys)}};
}

inline ContrastLoss contrast_loss(const LossAndGradients& result, const Tensor& queries,
                                  const Tensor& keys, Wanted wanted) {
  const auto dense = [&](std::size_t i, const Tensor& like) {
    return wanted[i] ? result.second[i].contiguous().view(like.sizes()) : no_result(result.first);
  };
  return {result.first, dense(0, queries), dense(1, keys)};
}

/// The loss as a function of queries and keys: `pass(wanted)` gives a ContrastLoss.
template <class Pass>
Tensor differentiable(const Tensor& queries, const Tensor& keys, const char* who,
                      const Pass& pass) {
  return kernel::loss_with_gradients(std::array{queries, keys}, who, [&](Wanted wanted) {
    const auto [loss, by_queries, by_keys] = pass(wanted);
    return LossAndGradients(loss,
                            {wanted[0] ? by_queries : Tensor(), wanted[1] ? by_keys : Tensor()});
  });
}

}  // namespace detail

inline ContrastLoss info_nce_forward(const Tensor& queries, const Tensor& keys,
                                     const Tensor& positive, double temperature,
                                     std::array<bool, 2> wanted) {
  const AutocastOff precise;
  return detail::contrast_loss(detail::contrast_rows(queries, keys, positive, temperature, wanted),
                               queries, keys, wanted);
}

/// `functional::info_nce`.
inline Tensor info_nce(const Tensor& queries, const Tensor& keys, const Tensor& positive,
                       double temperature) {
  static const auto forward = find_operator("slotcon::info_nce_forward", &info_nce_forward);
  return detail::differentiable(queries, keys, "info_nce", [&](std::array<bool, 2> wanted) {
    return forward.call(queries, keys, positive, temperature, wanted);
  });
}

inline ContrastLoss slot_info_nce_forward(const Tensor& anchors, const Tensor& keys,
                                          const Tensor& anchor_present, const Tensor& key_present,
                                          double temperature, std::array<bool, 2> wanted) {
  const AutocastOff precise;
  const auto options = SlotInfoNCEOptions().temperature(temperature);
  slotcon::detail::check_slots(anchors, keys, anchor_present);
  const auto compute = slotcon::detail::contrasts_masks(anchors, keys, options)
                           ? &detail::contrast_masks
                           : &detail::contrast_slots;
  return detail::contrast_loss(
      compute(anchors, keys, anchor_present, key_present, temperature, wanted), anchors, keys,
      wanted);
}

/// `functional::slot_info_nce` in one process.
inline Tensor slot_info_nce(const Tensor& anchors, const Tensor& keys, const Tensor& anchor_present,
                            const Tensor& key_present, double temperature) {
  static const auto forward =
      find_operator("slotcon::slot_info_nce_forward", &slot_info_nce_forward);
  return detail::differentiable(anchors, keys, "slot_info_nce", [&](std::array<bool, 2> wanted) {
    return forward.call(anchors, keys, anchor_present, key_present, temperature, wanted);
  });
}

}  // namespace slotcon::ops
