// The operators of semantic grouping.
#pragma once

#include <python/ops/operators.h>
#include <slotcon/core/precision.h>
#include <slotcon/loss/semantic_grouping.h>
#include <torch/types.h>

#include <array>
#include <optional>
#include <tuple>

namespace slotcon::ops {

namespace grouping = kernel::semantic_grouping;

namespace detail {

inline SemanticGroupingOptions grouping_options(double temperature, double eps) {
  return SemanticGroupingOptions().temperature(temperature).eps(eps);
}

/// By the reference, which needs nothing of its forward pass to go back.
inline grouping::Forward reference_forward(const Tensor& features, const Tensor& prototypes,
                                           const SemanticGroupingOptions& options) {
  const at::NoGradGuard no_grad;
  const auto [slots, scores, present] =
      functional::semantic_grouping(features, prototypes, options);
  const auto rows = scores.flatten(2);
  const auto of_positions = [&] { return at::zeros({rows.size(0), rows.size(2)}, rows.options()); };
  return {slots,          rows,           present,
          of_positions(), of_positions(), at::zeros(present.sizes(), rows.options())};
}

inline variable_list reference_backward(const Tensor& features, const Tensor& prototypes,
                                        const grouping::Incoming& incoming,
                                        const SemanticGroupingOptions& options) {
  const Recording recording;
  const auto type = compute_type(features.scalar_type(), "semantic_grouping");
  const variable_list leaves{leaf_of(features, features.scalar_type()), leaf_of(prototypes, type)};
  const auto grouped = functional::semantic_grouping(leaves[0], leaves[1], options);
  variable_list results, by_results;
  const auto add = [&](const Tensor& result, const std::optional<Tensor>& by_result) {
    if (!by_result) return;
    results.push_back(result);
    by_results.push_back(*by_result);
  };
  add(grouped.slots, incoming.slots);
  add(grouped.scores, incoming.scores);
  return gradients_by(leaves, results, by_results);
}

/// The kernels' backward pass of features [B,D,*spatial] and what else has those positions.
inline variable_list fused_backward(const Tensor& features, const Tensor& prototypes,
                                    grouping::Forward forward, grouping::Incoming incoming,
                                    double temperature, double eps, std::array<bool, 2> wanted) {
  forward.scores = forward.scores.flatten(2).transpose(1, 2).contiguous().transpose(1, 2);
  if (incoming.scores) incoming.scores = incoming.scores->flatten(2);
  const auto [by_features, by_prototypes] =
      grouping::DevicePasses::backward(features.flatten(2), prototypes.to(at::kFloat), forward,
                                       incoming, temperature, eps, {wanted[0], wanted[1]});
  return {wanted[0] ? by_features.view(features.sizes()) : Tensor(), by_prototypes};
}

}  // namespace detail

/// Slots, scores, present, inverse_norm, inverse_partition and totals as in grouping::Forward; the
/// scores are [B,K,*spatial] and lie in memory channels last, as the kernels leave them.
inline std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> semantic_grouping_forward(
    const Tensor& features, const Tensor& prototypes, double temperature, double eps) {
  constexpr auto who = "semantic_grouping";
  const auto options = detail::grouping_options(temperature, eps);
  slotcon::detail::check_grouping(features, prototypes, options);
  const auto type = compute_type(features.scalar_type(), who);
  const AutocastOff precise;
  const auto result = is_fused(features, grouping::choose(features, temperature), who)
                          ? grouping::DevicePasses::forward(features.flatten(2),
                                                            prototypes.to(type), temperature, eps)
                          : detail::reference_forward(features, prototypes, options);
  auto sizes = features.movedim(1, -1).sizes().vec();  // [B,*spatial,K]
  sizes.back() = prototypes.size(0);
  const auto scores = result.scores.transpose(1, 2).contiguous().view(sizes).movedim(-1, 1);
  return {result.slots, scores, result.present, result.inverse_norm, result.inverse_partition,
          result.totals};
}

/// The gradients of features and prototypes, empty where not wanted, from those of slots and
/// scores.
inline std::tuple<Tensor, Tensor> semantic_grouping_backward(
    const std::optional<Tensor>& by_slots, const std::optional<Tensor>& by_scores,
    const Tensor& features, const Tensor& prototypes, const Tensor& slots, const Tensor& scores,
    const Tensor& inverse_norm, const Tensor& inverse_partition, const Tensor& totals,
    double temperature, double eps, std::array<bool, 2> wanted) {
  const AutocastOff precise;
  const grouping::Incoming incoming{by_slots, by_scores};
  const auto gradients =
      grouping::choose(features, temperature).fused
          ? detail::fused_backward(features, prototypes,
                                   {slots, scores, {}, inverse_norm, inverse_partition, totals},
                                   incoming, temperature, eps, wanted)
          : detail::reference_backward(features, prototypes, incoming,
                                       detail::grouping_options(temperature, eps));
  return {wanted[0] ? in_order_of(features, gradients[0]) : no_result(features),
          wanted[1] ? gradients[1].contiguous() : no_result(scores)};
}

namespace detail {

/// The operators in the place of the passes that they run.
struct GroupingOperators {
  static grouping::Forward forward(const Tensor& features, const Tensor& prototypes,
                                   double temperature, double eps) {
    static const auto pass =
        find_operator("slotcon::semantic_grouping_forward", &semantic_grouping_forward);
    const auto [slots, scores, present, inverse_norm, inverse_partition, totals] =
        pass.call(features, prototypes, temperature, eps);
    return {slots, scores, present, inverse_norm, inverse_partition, totals};
  }

  static std::tuple<Tensor, Tensor> backward(const Tensor& features, const Tensor& prototypes,
                                             const grouping::Forward& forward,
                                             const grouping::Incoming& incoming, double temperature,
                                             double eps, grouping::Wanted wanted) {
    static const auto pass =
        find_operator("slotcon::semantic_grouping_backward", &semantic_grouping_backward);
    const auto [by_features, by_prototypes] =
        pass.call(incoming.slots, incoming.scores, features, prototypes, forward.slots,
                  forward.scores, forward.inverse_norm, forward.inverse_partition, forward.totals,
                  temperature, eps, {wanted.features, wanted.prototypes});
    return {wanted.features ? by_features : Tensor(), wanted.prototypes ? by_prototypes : Tensor()};
  }
};

}  // namespace detail

/// `functional::semantic_grouping`: slots, scores and present.
inline std::tuple<Tensor, Tensor, Tensor> semantic_grouping(const Tensor& features,
                                                            const Tensor& prototypes,
                                                            double temperature, double eps) {
  const auto type = compute_type(features.scalar_type(), "semantic_grouping");
  return grouping::fused<detail::GroupingOperators>(features, prototypes.to(type), temperature,
                                                    eps);
}

}  // namespace slotcon::ops
