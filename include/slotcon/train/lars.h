// LARS: SGD with momentum whose step is scaled, layer by layer, to the size of the layer's weights.
#pragma once

#include <ATen/core/ivalue.h>
#include <slotcon/train/detail/closure.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/serialize.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

#include <memory>
#include <utility>
#include <vector>

namespace slotcon {

/// Numbers of LARS.
struct LarsOptions : torch::optim::OptimizerCloneableOptions<LarsOptions> {
  /* implicit */ LarsOptions(double lr) : lr_(lr) {}

  TORCH_ARG(double, lr);                ///< >= 0
  TORCH_ARG(double, momentum) = 0.9;    ///< >= 0
  TORCH_ARG(double, weight_decay) = 0;  ///< >= 0; not on one-dimensional parameters
  TORCH_ARG(double, eta) = 0.001;       ///< > 0: trust coefficient

 public:
  double get_lr() const override { return lr(); }
  void set_lr(double value) override { lr(value); }

  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("lr", torch::IValue(lr()));
    archive.write("momentum", torch::IValue(momentum()));
    archive.write("weight_decay", torch::IValue(weight_decay()));
    archive.write("eta", torch::IValue(eta()));
  }

  void serialize(torch::serialize::InputArchive& archive) override {
    const auto read = [&archive](const char* name) {
      torch::IValue value;
      archive.read(name, value);
      return value.toDouble();
    };
    lr(read("lr"));
    momentum(read("momentum"));
    weight_decay(read("weight_decay"));
    eta(read("eta"));
  }
};

/// What LARS keeps of a parameter.
struct LarsParamState : torch::optim::OptimizerCloneableParamState<LarsParamState> {
  TORCH_ARG(torch::Tensor, momentum_buffer);

 public:
  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("momentum_buffer", momentum_buffer(), /*is_buffer=*/true);
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    archive.read("momentum_buffer", momentum_buffer(), /*is_buffer=*/true);
  }
};

/// The optimiser of the published recipes.
///
///     p of 2 or more dimensions:  g <- g + weight_decay p;  g <- g eta |p| / |g|  (where both
///     norms are > 0) all p:                      buffer <- momentum buffer + g;  p <- p - lr
///     buffer
///
/// One-dimensional parameters (biases, batch norm) get plain SGD with momentum. Parameters without
/// a gradient are left alone. No step waits for the device. Throws c10::ValueError for numbers out
/// of range. Paper: You et al., 2017; this form is that of Zbontar et al., ICML 2021 (Barlow
/// Twins).
class Lars : public torch::optim::Optimizer {
 public:
  explicit Lars(const std::vector<torch::optim::OptimizerParamGroup>& groups, LarsOptions defaults)
      : Optimizer(groups, std::make_unique<LarsOptions>(defaults)) {
    TORCH_CHECK_VALUE(defaults.lr() >= 0 && defaults.momentum() >= 0 &&
                          defaults.weight_decay() >= 0 && defaults.eta() > 0,
                      "Lars: expected lr, momentum, weight_decay >= 0 and eta > 0, got ",
                      defaults.lr(), ", ", defaults.momentum(), ", ", defaults.weight_decay(),
                      " and ", defaults.eta());
  }

  explicit Lars(std::vector<torch::Tensor> parameters, LarsOptions defaults)
      : Lars({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

  torch::Tensor step(LossClosure closure = nullptr) override {
    auto loss = detail::loss_of(closure);
    const torch::NoGradGuard no_grad;
    for (auto& group : param_groups()) {
      const auto& options = static_cast<const LarsOptions&>(group.options());
      for (auto& parameter : group.params()) {
        if (parameter.grad().defined()) update(parameter, options);
      }
    }
    return loss;
  }

  void save(torch::serialize::OutputArchive& archive) const override {
    torch::optim::serialize<LarsParamState, LarsOptions>(archive, *this);
  }
  void load(torch::serialize::InputArchive& archive) override {
    torch::optim::serialize<LarsParamState, LarsOptions>(archive, *this);
  }

 private:
  void update(torch::Tensor& parameter, const LarsOptions& options) {
    const auto gradient = parameter.dim() == 1 ? parameter.grad() : scaled(parameter, options);
    auto& buffer = buffer_of(parameter);
    buffer.mul_(options.momentum()).add_(gradient);
    parameter.add_(buffer, -options.lr());
  }

  static torch::Tensor scaled(const torch::Tensor& parameter, const LarsOptions& options) {
    const auto gradient = parameter.grad() + options.weight_decay() * parameter;
    const auto parameter_norm = parameter.norm();
    const auto gradient_norm = gradient.norm();
    const auto trust = options.eta() * parameter_norm / gradient_norm;
    return gradient * trust.masked_fill((parameter_norm == 0) | (gradient_norm == 0), 1);
  }

  torch::Tensor& buffer_of(const torch::Tensor& parameter) {
    auto& state = state_[parameter.unsafeGetTensorImpl()];
    if (!state) {
      auto fresh = std::make_unique<LarsParamState>();
      fresh->momentum_buffer(torch::zeros_like(parameter));
      state = std::move(fresh);
    }
    return static_cast<LarsParamState&>(*state).momentum_buffer();
  }
};

}  // namespace slotcon
