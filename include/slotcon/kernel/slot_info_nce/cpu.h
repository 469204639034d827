// Slot InfoNCE on the CPU without the matrix of logits: queries meet the keys block by block.
#pragma once

#include <slotcon/kernel/cpu/contrast.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <cmath>
#include <string>

namespace slotcon::kernel::slot_info_nce {

/// The lowest temperature of the fused kernel: exp(-2 / temperature) is a normal float32 number, so
/// logits of cosines, which are bounded, need no maximum.
constexpr double kLowestTemperature = 0.025;

namespace detail {

/// The contrast of unit vectors [C,D] with others [R,D]; `mixtures` may be undefined.
inline cpu::Contrast between(const torch::Tensor& columns, const torch::Tensor& rows,
                             double temperature, const torch::Tensor& totals,
                             const torch::Tensor& mixtures) {
  cpu::Contrast contrast{};
  contrast.columns = columns.const_data_ptr<float>();
  contrast.rows = rows.const_data_ptr<float>();
  contrast.num_rows = rows.size(0);
  contrast.dim = rows.size(1);
  contrast.scale = static_cast<float>(1 / temperature);
  contrast.totals = totals.mutable_data_ptr<double>();
  if (mixtures.defined()) contrast.mixtures = mixtures.mutable_data_ptr<float>();
  return contrast;
}

/// Checked here and not in the loss: on the CPU the positives can be read without waiting.
inline void check_positive(const torch::Tensor& positive, std::int64_t keys,
                           const std::string& who) {
  const auto* place = positive.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < positive.size(0); ++i) {
    TORCH_CHECK_INDEX(place[i] >= 0 && place[i] < keys, who, ": expected positive in [0, ", keys,
                      "), got ", place[i]);
  }
}

/// The loss as a node of the graph. The gradient by the queries comes out of the same pass over the
/// keys as the loss; that by the keys takes a second one, over the queries.
class FusedSlotInfoNCE : public torch::autograd::Function<FusedSlotInfoNCE> {
 public:
  struct Settings {
    double temperature;
    bool by_queries, by_keys;  // which gradients will be asked for
    std::string who;
  };

  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& queries_, const torch::Tensor& keys_,
                               const torch::Tensor& positive_, const Settings& settings) {
    const auto queries = queries_.contiguous(), keys = keys_.contiguous();
    const auto positive = positive_.contiguous();
    check_positive(positive, keys.size(0), settings.who);
    const auto totals = at::empty(positive.sizes(), queries.options().dtype(torch::kDouble));
    const auto at_positive = at::empty(positive.sizes(), queries.options());
    auto by_queries = settings.by_queries ? at::empty_like(queries) : torch::Tensor();
    auto contrast = between(queries, keys, settings.temperature, totals, by_queries);
    contrast.marked_row = positive.const_data_ptr<std::int64_t>();
    contrast.marked = at_positive.mutable_data_ptr<float>();
    cpu::compute(contrast, queries.size(0));
    if (by_queries.defined()) {
      by_queries.div_(totals.to(torch::kFloat).unsqueeze(1)).sub_(keys.index_select(0, positive));
    }
    save(context, settings, {by_queries, queries_, keys_, positive, totals});
    return at::full({}, 2 * settings.temperature * mean_loss(totals, at_positive),
                    queries.options());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    const auto& positive = saved[3];
    const auto scale = by_loss[0] * (2.0 / static_cast<double>(positive.size(0)));
    const auto who = context->saved_data["who"].toStringRef();
    torch::autograd::variable_list gradients(4);
    if (saved[0].defined() && context->needs_input_grad(0)) {
      gradients[0] = OnceDifferentiable::apply(saved[0] * scale, saved[1], who);
    }
    if (saved[2].defined() && context->needs_input_grad(1)) {
      const auto by_keys = mix_queries(saved[1], saved[2], positive, saved[4],
                                       context->saved_data["temperature"].toDouble());
      gradients[1] = OnceDifferentiable::apply(by_keys * scale, saved[2], who);
    }
    return gradients;
  }

 private:
  /// What backward() needs and no more: `tensors` are the gradient by the queries, the queries, the
  /// keys, the positives and the totals.
  static void save(torch::autograd::AutogradContext* context, const Settings& settings,
                   torch::autograd::variable_list tensors) {
    if (!settings.by_queries && !settings.by_keys) return;
    if (!settings.by_keys) tensors[2] = torch::Tensor();
    context->save_for_backward(std::move(tensors));
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["who"] = settings.who;
  }

  /// The mean of -log(share of the positive in the total): never below 0, and 0 of a single key.
  static double mean_loss(const torch::Tensor& totals, const torch::Tensor& at_positive) {
    const auto* total = totals.const_data_ptr<double>();
    const auto* term = at_positive.const_data_ptr<float>();
    double sum = 0;
    for (std::int64_t i = 0; i < totals.size(0); ++i) sum += std::log(total[i] / term[i]);
    return sum / static_cast<double>(totals.size(0));
  }

  /// For each key the sum of the queries, weighted by what their softmax gives it, less 1 where it
  /// is the positive.
  static torch::Tensor mix_queries(const torch::Tensor& queries, const torch::Tensor& keys,
                                   const torch::Tensor& positive, const torch::Tensor& totals,
                                   double temperature) {
    const at::NoGradGuard no_grad;
    const auto columns = keys.contiguous(), rows = queries.contiguous();
    const auto weights = totals.reciprocal().to(torch::kFloat);
    const auto mixtures = at::empty_like(columns);
    const auto sums = at::empty({keys.size(0)}, totals.options());
    auto contrast = between(columns, rows, temperature, sums, mixtures);
    contrast.weights = weights.const_data_ptr<float>();
    contrast.own_column = positive.const_data_ptr<std::int64_t>();
    cpu::compute(contrast, keys.size(0));
    return mixtures;
  }
};

}  // namespace detail

/// As `reference`, of float32 on the CPU at a temperature of at least kLowestTemperature; equal on
/// any number of threads, differentiable once. Memory beside the gradients: O(D) a thread and O(n).
/// Throws c10::IndexError for a positive that is not among the keys.
inline torch::Tensor fused(const torch::Tensor& queries, const torch::Tensor& keys,
                           const torch::Tensor& positive, double temperature, const char* who) {
  const bool graph = at::GradMode::is_enabled();
  const detail::FusedSlotInfoNCE::Settings settings{temperature, graph && queries.requires_grad(),
                                                    graph && keys.requires_grad(), who};
  return detail::FusedSlotInfoNCE::apply(queries, keys, positive, settings);
}

}  // namespace slotcon::kernel::slot_info_nce
