// Gradients against central differences in float64, of first and second order.
#pragma once

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/support/noise.h"
#include "tests/support/tolerance.h"

namespace slotcon::testing {

using Tensors = std::vector<torch::Tensor>;
using Function = std::function<torch::Tensor(const Tensors&)>;

/// Several results as one, for a function of several outputs.
inline torch::Tensor joined(const Tensors& tensors) {
  Tensors flat;
  for (const auto& tensor : tensors) flat.push_back(tensor.flatten());
  return at::cat(flat);
}

namespace detail {

constexpr std::uint64_t kProjectionSeed = 31415;  // not one that a test uses
constexpr std::uint64_t kIncomingSeed = 92653;

/// The outputs of `f`, each weighted by fixed noise.
inline torch::Tensor weighted(const Function& f, const Tensors& arguments) {
  const auto result = f(arguments);
  return result * noise(result.sizes(), kProjectionSeed);
}

/// (f(x + step e) - f(x - step e)) / (2 step) for each element e of one argument.
inline torch::Tensor central_difference(const Function& f, const Tensors& arguments,
                                        std::size_t which) {
  const auto argument = arguments[which].detach().view(-1);  // shares memory with what f sees
  const auto gradient = at::empty_like(argument);
  const auto at_offset = [&](std::int64_t i, double offset) {
    const auto kept = argument[i].item<double>();
    argument[i] = kept + offset;
    const auto value = weighted(f, arguments).sum().item<double>();
    argument[i] = kept;
    return value;
  };
  for (std::int64_t i = 0; i < argument.numel(); ++i) {
    const auto after = at_offset(i, kDifferenceStep);
    const auto before = at_offset(i, -kDifferenceStep);
    gradient[i] = (after - before) / (2 * kDifferenceStep);
  }
  return gradient.view_as(arguments[which]);
}

/// The gradient of `output` for each argument; zeros for one without a part in it.
inline Tensors gradients(const torch::Tensor& output, const Tensors& arguments,
                         const torch::Tensor& grad_output, bool create_graph) {
  auto all =
      torch::autograd::grad({output}, arguments, {grad_output}, /*retain_graph=*/create_graph,
                            create_graph, /*allow_unused=*/true);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].defined()) all[i] = at::zeros_like(arguments[i]);
  }
  return all;
}

}  // namespace detail

/// Whether autograd's gradient of `f`, by every element of every argument, is the central
/// difference. The arguments are float64; what is not to be differentiated belongs into the
/// function itself.
inline ::testing::AssertionResult gradcheck(const Function& f, Tensors arguments) {
  for (auto& argument : arguments) {
    argument = argument.detach().clone(at::MemoryFormat::Contiguous).requires_grad_();
  }
  const auto terms = detail::weighted(f, arguments);
  const auto analytic =
      detail::gradients(terms, arguments, at::ones_like(terms), /*create_graph=*/false);
  const auto noise_floor = kDifferenceNoise * terms.detach().abs().sum().item<double>();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].numel() == 0) continue;
    const auto numeric = detail::central_difference(f, arguments, i);
    const auto bound = kDifferenceTolerance * numeric.abs().max().item<double>() + noise_floor;
    auto result = within(analytic[i], numeric, bound);
    if (!result) return result << " (gradient by argument " << i << ")";
  }
  return ::testing::AssertionSuccess();
}

/// Whether the gradient of `f`, as a function of the arguments and of the gradient that reaches its
/// output, is itself differentiated right. The last argument of a failure is that incoming
/// gradient.
inline ::testing::AssertionResult gradgradcheck(const Function& f, Tensors arguments) {
  arguments.push_back(noise(f(arguments).sizes(), detail::kIncomingSeed));
  const Function gradient = [&f](const Tensors& with_incoming) {
    const Tensors own(with_incoming.begin(), with_incoming.end() - 1);
    return joined(detail::gradients(f(own), own, with_incoming.back(), /*create_graph=*/true));
  };
  return gradcheck(gradient, std::move(arguments));
}

}  // namespace slotcon::testing
