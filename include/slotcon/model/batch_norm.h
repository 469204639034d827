// Batch normalisation whose batch may lie on several processes.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/ivalue.h>
#include <slotcon/core/backend.h>
#include <slotcon/core/collectives.h>
#include <slotcon/kernel/batch_norm/dispatch.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <ostream>
#include <tuple>
#include <utility>
#include <vector>

namespace slotcon {

namespace detail {

constexpr double kBatchNormEps = 1e-5;
constexpr double kBatchNormMomentum = 0.1;  // of the batch in the running statistics

inline std::int64_t values_of_a_channel(const torch::Tensor& x) { return x.numel() / x.size(1); }

/// Mean and variance [C] over a batch, and how many values of a channel (0-d) they are from.
struct BatchStatistics {
  torch::Tensor mean, variance, count;  // float64; not finite without values
};

/// What x [N,C,*] adds to those of all processes: sums, sums of squares, count, [2C+1] float64.
/// `like` [C] is of the type to compute in.
inline torch::Tensor own_sums(const torch::Tensor& x, const torch::Tensor& like) {
  const auto options = like.options().dtype(torch::kDouble);
  const auto count = values_of_a_channel(x);
  if (count == 0) return at::zeros({2 * x.size(1) + 1}, options);
  // With running statistics of that type, which nobody will read, it computes in that type.
  const auto statistics = at::batch_norm_update_stats(x, at::zeros_like(like), at::zeros_like(like),
                                                      kBatchNormMomentum);
  const auto mean = std::get<0>(statistics).to(torch::kDouble);
  const auto variance = std::get<1>(statistics).to(torch::kDouble);
  return at::cat({mean * count, (variance + mean.square()) * count, at::full({1}, count, options)});
}

inline BatchStatistics statistics_of_group(const torch::Tensor& x, const torch::Tensor& like,
                                           Collectives& collectives) {
  const auto channels = x.size(1);
  const auto sums = collectives.all_reduce_sum(own_sums(x, like));
  const auto count = sums[2 * channels];
  const auto mean = sums.slice(0, 0, channels) / count;
  const auto square = sums.slice(0, channels, 2 * channels) / count;
  return {mean, (square - mean.square()).clamp_min(0), count};
}

/// (x - mean) / sqrt(variance + eps) * weight + bias, in the type and layout of x [N,C,*].
inline torch::Tensor normalised(const torch::Tensor& x, const torch::Tensor& mean,
                                const torch::Tensor& variance, const torch::Tensor& weight,
                                const torch::Tensor& bias) {
  if (x.numel() == 0) return at::empty_like(x);
  return std::get<0>(at::native_batch_norm(x, weight, bias, mean, variance, /*training=*/false,
                                           kBatchNormMomentum, kBatchNormEps));
}

/// `normalised` by statistics that come from the x of all processes, and differentiated as such.
class NormalisedByGroup : public torch::autograd::Function<NormalisedByGroup> {
 public:
  /// `influence` (0-d): how far one value moves the mean of its channel, 1 / count; 0 if the
  /// statistics come from elsewhere.
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& mean, const torch::Tensor& variance,
                               const torch::Tensor& influence, const CollectivesPtr& collectives) {
    context->save_for_backward({x, weight, mean, variance, influence});
    context->saved_data["group"] =
        torch::IValue::make_capsule(c10::make_intrusive<Group>(collectives));
    return normalised(x, mean, variance, weight, bias);
  }

  /// With z = (x - mean) / sqrt(variance + eps), the gradient g by the result, and means over all
  /// processes: by x, weight / sqrt(variance + eps) (g - mean(g) - z mean(g z)); by weight and
  /// bias, sums over this process as for any parameter.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_result) {
    TORCH_CHECK_NOT_IMPLEMENTED(!at::GradMode::is_enabled(),
                                "BatchNorm: double backward needs a single process");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3];
    const auto g = by_result[0].contiguous(x.suggest_memory_format());
    const auto [by_weight, by_bias] = by_parameters(g, x, mean, variance, weight);

    auto& collectives = group_of(*context);
    const auto sums = collectives.all_reduce_sum(at::cat({by_weight, by_bias}));
    const auto means = (sums * saved[4]).chunk(2);  // of g z and of g
    const auto scale = weight / (variance + kBatchNormEps).sqrt();
    auto by_x = normalised(x, mean, variance, -scale * means[0], -scale * means[1]);
    by_x.addcmul_(g, over_values(scale.to(g.scalar_type()), x));
    return {by_x, by_weight, by_bias, {}, {}, {}, {}};
  }

 private:
  struct Group : torch::CustomClassHolder {
    explicit Group(CollectivesPtr group) : collectives(std::move(group)) {}
    CollectivesPtr collectives;
  };

  static Collectives& group_of(torch::autograd::AutogradContext& context) {
    return *static_cast<Group&>(*context.saved_data["group"].toCapsule()).collectives;
  }

  /// sum(g z) and sum(g) over this process, [C] each.
  static std::pair<torch::Tensor, torch::Tensor> by_parameters(const torch::Tensor& g,
                                                               const torch::Tensor& x,
                                                               const torch::Tensor& mean,
                                                               const torch::Tensor& variance,
                                                               const torch::Tensor& weight) {
    if (x.numel() == 0) return {at::zeros_like(weight), at::zeros_like(weight)};
    const auto gradients = at::native_batch_norm_backward(
        g, x, weight, mean, variance, /*save_mean=*/{}, /*save_invstd=*/{}, /*train=*/false,
        kBatchNormEps, /*output_mask=*/{false, true, true});
    return {std::get<1>(gradients), std::get<2>(gradients)};
  }

  /// `numbers` [C] shaped to broadcast over x [N,C,*].
  static torch::Tensor over_values(const torch::Tensor& numbers, const torch::Tensor& x) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
    sizes[1] = numbers.size(0);
    return numbers.view(sizes);
  }
};

}  // namespace detail

/// Batch normalisation of rows or maps, of one process or of several together.
///
///     training:    y = (x - mean) / sqrt(variance + 1e-5) weight + bias, by the statistics of each
///                  channel over the batch; running <- 0.9 running + 0.1 of the batch
///     evaluation:  the same by the running statistics
///
/// Parameters and buffers are those of torch::nn::BatchNorm1d and 2d, the results of one process
/// too. With `collectives` the batch is what all processes have, however much each: results,
/// gradients and running statistics are those of one process with all of it. Every process of the
/// group then calls forward in training mode, and its backward, also without a row.
///
/// Shapes: x [N,C] or [N,C,*spatial]; result likewise, in the same memory format.
/// Types: x of any floating type; statistics in the type of the parameters, added up over processes
///   in float64.
/// Empty case: fewer than two values of a channel, on all processes together, have no variance.
///   They are normalised by the running statistics, which stay as they are. So a step with one
///   slot, or none, works and every parameter gets a gradient.
/// Gradient: x, weight and bias. One process: twice; several: once, c10::NotImplementedError by a
///   graph of the gradient, and those of weight and bias are this process' own, to be averaged.
/// No step waits for the device.
class BatchNormImpl : public torch::nn::Cloneable<BatchNormImpl> {
 public:
  explicit BatchNormImpl(std::int64_t channels) : channels_(channels) { reset(); }

  void reset() override {
    weight = register_parameter("weight", torch::ones({channels_}));
    bias = register_parameter("bias", torch::zeros({channels_}));
    running_mean = register_buffer("running_mean", torch::zeros({channels_}));
    running_var = register_buffer("running_var", torch::ones({channels_}));
    num_batches_tracked = register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong));
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::BatchNorm(" << channels_ << ")";
  }

  torch::Tensor forward(const torch::Tensor& x) {
    if (uses_group()) return forward_in_group(x);
    const bool by_batch = uses_own_batch(x);
    if (by_batch) num_batches_tracked += 1;
    return at::batch_norm(x, weight, bias, running_mean, running_var, by_batch,
                          detail::kBatchNormMomentum, detail::kBatchNormEps,
                          at::globalContext().userEnabledCuDNN());
  }

  /// max(0, forward(x) + residual); an undefined residual is none. x and residual [N,C,*] of the
  /// same sizes.
  ///
  /// In training of one process, of rows [N,C] or channels-last maps on the CPU, in one kernel,
  /// which is differentiable once: with `backend` kReference as often as forward(). Rounded once in
  /// half types, where operations of their own round each time. The same holds for forward_gelu().
  torch::Tensor forward_relu(const torch::Tensor& x, const torch::Tensor& residual = {}) {
    const auto activation = residual.defined() ? Activation::kAddRelu : Activation::kRelu;
    return forward_activated(x, residual, activation, "BatchNorm::forward_relu");
  }

  /// The exact GELU of forward(x): that times the normal distribution at it.
  torch::Tensor forward_gelu(const torch::Tensor& x) {
    return forward_activated(x, {}, Activation::kGelu, "BatchNorm::forward_gelu");
  }

  torch::Tensor weight, bias;               ///< [C]
  torch::Tensor running_mean, running_var;  ///< [C], the variance unbiased
  torch::Tensor num_batches_tracked;        ///< 0-d int64
  CollectivesPtr collectives;               ///< null: one process
  Backend backend = Backend::kAuto;         ///< of forward_relu() and forward_gelu()

 private:
  using Activation = kernel::Activation;

  bool uses_group() const { return is_training() && collectives != nullptr; }

  bool uses_own_batch(const torch::Tensor& x) const {
    return is_training() && collectives == nullptr && detail::values_of_a_channel(x) >= 2;
  }

  torch::Tensor forward_activated(const torch::Tensor& x, const torch::Tensor& residual,
                                  Activation activation, const char* who) {
    const kernel::batch_norm::Norm norm{
        weight, bias, running_mean, running_var, detail::kBatchNormMomentum, detail::kBatchNormEps};
    if (uses_own_batch(x) &&
        use_fused(backend, kernel::batch_norm::choose(x, residual, norm), who)) {
      num_batches_tracked += 1;
      return kernel::batch_norm::fused(x, residual, norm, activation);
    }
    return kernel::batch_norm::activated(forward(x), residual, activation);
  }

  torch::Tensor forward_in_group(const torch::Tensor& rows) {
    const auto x = rows.contiguous(rows.suggest_memory_format());
    const auto [mean, variance, influence] = use_statistics(x);
    return detail::NormalisedByGroup::apply(x, weight, bias, mean, variance, influence,
                                            collectives);
  }

  /// What to normalise x by and how far its values move that; moves the running statistics.
  std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> use_statistics(const torch::Tensor& x) {
    const at::NoGradGuard no_grad;
    const auto batch = detail::statistics_of_group(x, running_mean, *collectives);
    const auto enough = batch.count >= 2;
    const auto or_running = [&](const torch::Tensor& of_batch, const torch::Tensor& running) {
      return at::where(enough, of_batch.to(running.scalar_type()), running);
    };
    const auto mean = or_running(batch.mean, running_mean);
    const auto variance = or_running(batch.variance, running_var);
    const auto unbiased = batch.variance * batch.count / (batch.count - 1);
    running_var.lerp_(or_running(unbiased, running_var), detail::kBatchNormMomentum);
    running_mean.lerp_(mean, detail::kBatchNormMomentum);
    num_batches_tracked += enough;
    return {mean, variance, at::where(enough, batch.count.reciprocal(), 0)};
  }

  std::int64_t channels_;
};
TORCH_MODULE(BatchNorm);

/// Makes every `BatchNorm` in the module normalise by the batch of all processes of the group
/// (null: of this one).
///
/// Throws c10::ValueError for a batch norm of torch::nn in a group, where it would go on
/// normalising by its own process.
inline void synchronise_batch_norm(torch::nn::Module& module, const CollectivesPtr& collectives) {
  for (const auto& entry : module.named_modules()) {
    auto& layer = *entry.value();
    const bool is_foreign = layer.as<torch::nn::BatchNorm1d>() ||
                            layer.as<torch::nn::BatchNorm2d>() ||
                            layer.as<torch::nn::BatchNorm3d>();
    TORCH_CHECK_VALUE(!is_foreign || collectives == nullptr,
                      "synchronise_batch_norm: expected slotcon::BatchNorm, got ", layer.name(),
                      " at '", entry.key(), "'");
    if (auto* norm = layer.as<BatchNorm>()) norm->collectives = collectives;
  }
}

}  // namespace slotcon
