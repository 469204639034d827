// AdamW that takes the step of all parameters in one kernel.
#pragma once

#include <ATen/ops/_fused_adamw.h>
#include <slotcon/train/detail/closure.h>
#include <torch/optim/adamw.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace slotcon {

/// torch::optim::AdamW, options and saved state included, in one kernel for all parameters where
/// that takes a dozen for each: for a small network that is a fiftieth of a training step on the
/// CPU.
///
///     p <- (1 - lr weight_decay) p
///     m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
///     p <- p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// t counts the steps of a parameter; with amsgrad v is the largest so far. Parameters without a
/// gradient are left alone. Equal on any number of threads; equal to torch::optim::AdamW but for
/// rounding. No step waits for the device.
///
/// Parameters of any floating type, on any devices, in any dense layout; what lies one after the
/// other on one device, in one type, shares a kernel. Throws c10::ValueError for a parameter whose
/// elements are not dense in memory, c10::Error for a sparse gradient or numbers out of range.
/// Paper: Loshchilov and Hutter, ICLR 2019.
class AdamW : public torch::optim::AdamW {
 public:
  explicit AdamW(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                 torch::optim::AdamWOptions defaults = {})
      : torch::optim::AdamW(groups, defaults) {
    for (const auto& group : groups) check_dense(group.params());
  }

  explicit AdamW(std::vector<torch::Tensor> parameters, torch::optim::AdamWOptions defaults = {})
      : AdamW({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

  torch::Tensor step(LossClosure closure = nullptr) override {
    auto loss = detail::loss_of(closure);
    const torch::NoGradGuard no_grad;
    for (auto& group : param_groups()) update(group);
    return loss;
  }

 private:
  using State = torch::optim::AdamWParamState;
  using Options = torch::optim::AdamWOptions;

  /// What one call of the kernel takes: parameters of one device, type and number of steps.
  struct Lists {
    std::vector<torch::Tensor> parameters, gradients, means, squares, largest_squares;
    std::int64_t step = 0;

    bool takes(const torch::Tensor& parameter, std::int64_t its_step) const {
      return parameters.empty() ||
             (step == its_step && parameters[0].device() == parameter.device() &&
              parameters[0].scalar_type() == parameter.scalar_type());
    }
  };

  static void check_dense(const std::vector<torch::Tensor>& parameters) {
    for (const auto& parameter : parameters) {
      TORCH_CHECK_VALUE(parameter.is_non_overlapping_and_dense(),
                        "AdamW: expected parameters that are dense in memory, got sizes ",
                        parameter.sizes(), " with strides ", parameter.strides());
    }
  }

  void update(torch::optim::OptimizerParamGroup& group) {
    const auto& options = static_cast<const Options&>(group.options());
    Lists lists;
    for (const auto& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      auto& state = state_of(parameter, options);
      state.step(state.step() + 1);
      if (!lists.takes(parameter, state.step())) {
        update(lists, options);
        lists = {};
      }
      add(lists, parameter, state);
    }
    if (!lists.parameters.empty()) update(lists, options);
  }

  State& state_of(const torch::Tensor& parameter, const Options& options) {
    TORCH_CHECK(!parameter.grad().is_sparse(), "AdamW does not support sparse gradients");
    auto& state = state_[parameter.unsafeGetTensorImpl()];
    if (!state) {
      auto fresh = std::make_unique<State>();
      fresh->exp_avg(at::zeros_like(parameter));
      fresh->exp_avg_sq(at::zeros_like(parameter));
      if (options.amsgrad()) fresh->max_exp_avg_sq(at::zeros_like(parameter));
      state = std::move(fresh);
    }
    return static_cast<State&>(*state);
  }

  static void add(Lists& lists, const torch::Tensor& parameter, State& state) {
    const auto keep_in_order = [&](torch::Tensor& kept, std::vector<torch::Tensor>& list) {
      kept = laid_out_as(parameter, kept);
      list.push_back(in_memory_order(kept));
    };
    lists.step = state.step();
    lists.parameters.push_back(in_memory_order(parameter));
    lists.gradients.push_back(in_memory_order(laid_out_as(parameter, parameter.grad())));
    keep_in_order(state.exp_avg(), lists.means);
    keep_in_order(state.exp_avg_sq(), lists.squares);
    if (state.max_exp_avg_sq().defined()) {
      keep_in_order(state.max_exp_avg_sq(), lists.largest_squares);
    }
  }

  /// The elements of a dense tensor: the kernel copies what is not contiguous.
  static torch::Tensor in_memory_order(const torch::Tensor& dense) {
    return dense.as_strided({dense.numel()}, {1});
  }

  /// The tensor with its elements in the parameter's order in memory.
  static torch::Tensor laid_out_as(const torch::Tensor& parameter, const torch::Tensor& tensor) {
    for (std::int64_t d = 0; d < parameter.dim(); ++d) {
      if (parameter.size(d) > 1 && tensor.stride(d) != parameter.stride(d)) {
        return at::empty_like(parameter).copy_(tensor);
      }
    }
    return tensor;
  }

  static void update(const Lists& lists, const Options& options) {
    const auto steps = at::full({}, static_cast<double>(lists.step),
                                lists.parameters[0].options().dtype(torch::kFloat));
    const std::vector<torch::Tensor> of_each(lists.parameters.size(), steps);
    const auto [beta1, beta2] = options.betas();
    at::_fused_adamw_(lists.parameters, lists.gradients, lists.means, lists.squares,
                      lists.largest_squares, of_each, options.lr(), beta1, beta2,
                      options.weight_decay(), options.eps(), options.amsgrad(),
                      /*maximize=*/false);
  }
};

}  // namespace slotcon
