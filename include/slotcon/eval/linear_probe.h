// A linear classifier on frozen features: how far their classes can be told apart by planes.
#pragma once

#include <torch/arg.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/lbfgs.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace slotcon::eval {

/// Numbers of the probe.
struct LinearProbeOptions {
  TORCH_ARG(double, penalty) = 1e-4;          ///< lambda >= 0: keeps the weights small.
  TORCH_ARG(std::int64_t, iterations) = 500;  ///< >= 1: of L-BFGS, at most.
};

/// A linear classifier of features.
struct LinearProbe {
  torch::Tensor weight;  ///< [C,D] float64
  torch::Tensor bias;    ///< [C] float64

  /// Logits [N,C,*] of features [N,D,*], in the features' dtype.
  torch::Tensor logits(const torch::Tensor& features) const {
    TORCH_CHECK_VALUE(features.dim() >= 2 && features.size(1) == weight.size(1),
                      "LinearProbe: expected features [N,", weight.size(1), ",*], got ",
                      features.sizes());
    const auto options = features.options();
    return at::linear(features.movedim(1, -1), weight.to(options), bias.to(options)).movedim(-1, 1);
  }
};

namespace detail {

inline void check_probe(const torch::Tensor& features, const torch::Tensor& targets,
                        const LinearProbeOptions& options) {
  TORCH_CHECK_VALUE(features.dim() == 2 && targets.dim() == 2 && features.size(0) >= 1 &&
                        targets.size(0) == features.size(0) && targets.size(1) >= 2,
                    "fit_linear_probe: expected features [N,D] and targets [N,C], N >= 1, C >= 2, "
                    "got ",
                    features.sizes(), " and ", targets.sizes());
  TORCH_CHECK_TYPE(features.is_floating_point() && targets.is_floating_point(),
                   "fit_linear_probe: expected floating features and targets, got ",
                   features.scalar_type(), " and ", targets.scalar_type());
  TORCH_CHECK_VALUE(options.penalty() >= 0 && options.iterations() >= 1,
                    "fit_linear_probe: expected penalty >= 0 and iterations >= 1, got ",
                    options.penalty(), " and ", options.iterations());
  TORCH_CHECK_VALUE(features.isfinite().all().item<bool>(),
                    "fit_linear_probe: expected finite features");
  TORCH_CHECK_VALUE((targets >= 0).all().item<bool>() && targets.sum().item<double>() > 0,
                    "fit_linear_probe: expected targets >= 0, some of them positive");
}

}  // namespace detail

/// Fits a multinomial logistic regression: convex, so the result depends on no seed.
///
///     minimise  sum_nc targets_nc (-log softmax_c(W z_n + b)) / sum targets  +  lambda / 2 |W|^2
///     z = (x - mean) / deviation, of each channel over the set
///
/// `features` x [N,D]; `targets` [N,C] >= 0: a row is the shares of the classes in what the feature
/// stands for, one-hot for an image with one class, zero for one that does not count. The result
/// takes x itself: W and b hold the mean and the deviation. A channel that is constant gets no
/// weight.
/// Computed in float64, on the features' device, until the gradient is below 1e-8.
/// Throws c10::ValueError for other shapes, features that are not finite, targets that are negative
/// or all zero, and numbers out of range; c10::TypeError for another dtype.
inline LinearProbe fit_linear_probe(const torch::Tensor& features, const torch::Tensor& targets,
                                    const LinearProbeOptions& options = {}) {
  detail::check_probe(features, targets, options);
  const auto x = features.detach().to(torch::kDouble);
  const auto mean = x.mean(0);
  const auto deviation = x.std(0, /*unbiased=*/false);
  const auto scale = torch::where(deviation > 0, deviation.reciprocal(), 0);
  const auto z = (x - mean) * scale;
  const auto shares = targets.detach().to(torch::kDouble) / targets.sum(torch::kDouble);

  auto weight = torch::zeros({targets.size(1), x.size(1)}, x.options().requires_grad(true));
  auto bias = torch::zeros({targets.size(1)}, x.options().requires_grad(true));
  torch::optim::LBFGS optimizer(std::vector<torch::Tensor>{weight, bias},
                                torch::optim::LBFGSOptions(1)
                                    .max_iter(options.iterations())
                                    .max_eval(2 * options.iterations())
                                    .tolerance_grad(1e-8)
                                    .tolerance_change(1e-16)
                                    .line_search_fn("strong_wolfe"));
  const torch::AutoGradMode with_gradients(true);
  optimizer.step([&] {
    optimizer.zero_grad();
    const auto loss = -(shares * at::linear(z, weight, bias).log_softmax(1)).sum() +
                      options.penalty() / 2 * weight.square().sum();
    loss.backward();
    return loss;
  });
  const torch::NoGradGuard no_grad;
  const torch::Tensor of_x = weight.detach() * scale;
  return {of_x, bias.detach() - of_x.mv(mean)};
}

/// One-hot targets [N,C] float64 of classes [N] int64; zero for a class below 0.
inline torch::Tensor one_hot_targets(const torch::Tensor& classes, std::int64_t num_classes) {
  return (classes.unsqueeze(1) == torch::arange(num_classes, classes.options())).to(torch::kDouble);
}

}  // namespace slotcon::eval
