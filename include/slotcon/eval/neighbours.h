// Nearest neighbours of features, and what they say about the classes.
#pragma once

#include <slotcon/core/unit_length.h>
#include <torch/arg.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

namespace slotcon::eval {

/// The nearest of a set of features, nearest first; [M,k] each.
struct Neighbours {
  torch::Tensor indices;  ///< int64, into the set
  torch::Tensor cosines;  ///< in [-1,1], dtype of the features
};

namespace detail {

inline void check_features(const char* who, const torch::Tensor& features) {
  TORCH_CHECK_VALUE(features.dim() == 2 && features.size(0) >= 1, who,
                    ": expected features [N,D] with N >= 1, got ", features.sizes());
  TORCH_CHECK_TYPE(features.is_floating_point(), who, ": expected floating features, got ",
                   features.scalar_type());
}

inline void check_classes(const char* who, const torch::Tensor& classes, std::int64_t count) {
  TORCH_CHECK_VALUE(classes.dim() == 1 && classes.size(0) == count, who, ": expected ", count,
                    " classes, got ", classes.sizes());
  TORCH_CHECK_TYPE(classes.scalar_type() == torch::kLong, who, ": expected int64 classes, got ",
                   classes.scalar_type());
}

/// The class of each neighbour, [M,k].
inline torch::Tensor classes_of(const Neighbours& neighbours, const torch::Tensor& classes) {
  return classes.index_select(0, neighbours.indices.flatten()).view_as(neighbours.indices);
}

}  // namespace detail

/// The k features of `set` [N,D] with the largest cosine to each of `queries` [M,D].
///
/// Both of one floating dtype, on one device. Of equal cosines the lower index comes first. With
/// `leave_one_out` the queries are the set itself, and none is its own neighbour.
/// Memory: as many queries at a time as make 2^24 cosines.
/// Throws c10::ValueError for other shapes and for k outside of 1 ... N (N - 1 with
/// `leave_one_out`), c10::TypeError for another dtype.
inline Neighbours nearest_neighbours(const torch::Tensor& queries, const torch::Tensor& set,
                                     std::int64_t k, bool leave_one_out = false) {
  constexpr auto kWho = "nearest_neighbours";
  detail::check_features(kWho, set);
  detail::check_features(kWho, queries);
  const auto largest = set.size(0) - (leave_one_out ? 1 : 0);
  TORCH_CHECK_VALUE(
      queries.size(1) == set.size(1) && (!leave_one_out || queries.size(0) == set.size(0)), kWho,
      ": expected queries like the set of ", set.sizes(), ", got ", queries.sizes());
  TORCH_CHECK_VALUE(k >= 1 && k <= largest, kWho, ": expected k in 1 ... ", largest, ", got ", k);
  const torch::NoGradGuard no_grad;
  const auto directions = unit_length(set, 1).t();
  const auto rows = std::max<std::int64_t>((1 << 24) / set.size(0), 1);
  std::vector<torch::Tensor> indices, cosines;
  for (std::int64_t begin = 0; begin < queries.size(0); begin += rows) {
    const auto end = std::min(begin + rows, queries.size(0));
    auto near = unit_length(queries.slice(0, begin, end), 1).mm(directions);
    if (leave_one_out) near.diagonal(begin).fill_(-2);  // less than any cosine
    auto [sorted, order] = near.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
    indices.push_back(order.slice(1, 0, k).clone());
    cosines.push_back(sorted.slice(1, 0, k).clone());
  }
  return {torch::cat(indices), torch::cat(cosines)};
}

/// The class that the neighbours of each query vote for, [M] int64.
///
///     votes[m,c] = sum of exp(cosine / temperature) over the neighbours of m of class c
///
/// `classes` [N] int64, 0 ... num_classes - 1, of the set. Of equal votes the lower class wins.
/// Throws c10::ValueError for a temperature that is not positive and another number of classes.
/// Source: Wu et al., CVPR 2018, whose temperature is 0.07.
inline torch::Tensor weighted_vote(const Neighbours& neighbours, const torch::Tensor& classes,
                                   std::int64_t num_classes, double temperature = 0.07) {
  constexpr auto kWho = "weighted_vote";
  TORCH_CHECK_VALUE(temperature > 0, kWho, ": expected a positive temperature, got ", temperature);
  detail::check_classes(kWho, classes, classes.numel());
  // Weights relative to the nearest, so that no temperature overflows.
  const auto cosines = neighbours.cosines.to(torch::kDouble);
  const auto weights = ((cosines - cosines.narrow(1, 0, 1)) / temperature).exp();
  return torch::zeros({cosines.size(0), num_classes}, weights.options())
      .scatter_add(1, detail::classes_of(neighbours, classes), weights)
      .argmax(1);
}

/// The share of neighbours that are of their query's class, mean over queries: precision at k.
///
/// `query_classes` [M] and `classes` [N] int64.
inline double neighbour_precision(const Neighbours& neighbours, const torch::Tensor& query_classes,
                                  const torch::Tensor& classes) {
  constexpr auto kWho = "neighbour_precision";
  detail::check_classes(kWho, query_classes, neighbours.indices.size(0));
  detail::check_classes(kWho, classes, classes.numel());
  const auto found = detail::classes_of(neighbours, classes);
  return (found == query_classes.unsqueeze(1)).to(torch::kDouble).mean().item<double>();
}

}  // namespace slotcon::eval
