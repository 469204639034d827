// Slot InfoNCE on the CPU without the matrix of logits: queries meet the keys block by block.
#pragma once

#include <slotcon/core/unit_length.h>
#include <slotcon/kernel/cpu/contrast.h>
#include <slotcon/kernel/once_differentiable.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <cmath>
#include <string>

namespace slotcon::kernel::slot_info_nce {

namespace detail {

/// Rows [*,D] with the inverses of their norms [*]: instead of a copy at unit length, which would
/// take as much memory as the rows do.
struct Rows {
  torch::Tensor vectors, inverse_norms;

  cpu::Directions directions() const {
    return {vectors.const_data_ptr<float>(), inverse_norms.const_data_ptr<float>()};
  }
};

inline Rows with_norms(const torch::Tensor& vectors) {
  return {vectors.contiguous(),
          at::linalg_vector_norm(vectors, 2, {1}).clamp_min_(kNormFloor).reciprocal_()};
}

/// The contrast of columns [C,D] with rows [R,D]; `gradients` may be undefined.
inline cpu::Contrast between(const Rows& columns, const Rows& rows, double temperature,
                             const torch::Tensor& totals, const torch::Tensor& gradients) {
  cpu::Contrast contrast{};
  contrast.columns = columns.directions();
  contrast.rows = rows.directions();
  contrast.num_rows = rows.vectors.size(0);
  contrast.dim = rows.vectors.size(1);
  contrast.scale = static_cast<float>(1 / temperature);
  contrast.totals = totals.mutable_data_ptr<double>();
  if (gradients.defined()) contrast.gradients = gradients.mutable_data_ptr<float>();
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

/// The mean of -log(share of the positive in the total): never below 0, and 0 of a single key.
inline double mean_loss(const torch::Tensor& totals, const torch::Tensor& at_positive) {
  const auto* total = totals.const_data_ptr<double>();
  const auto* term = at_positive.const_data_ptr<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < totals.size(0); ++i) sum += std::log(total[i] / term[i]);
  return sum / static_cast<double>(totals.size(0));
}

}  // namespace detail

/// The loss, 0-d, and what its gradients are made of. They lack the factor 2 / n.
struct CpuForward {
  torch::Tensor loss;
  torch::Tensor by_queries;        // [n,D], undefined unless asked for
  detail::Rows queries, keys;      // [n,D], [m,D]
  torch::Tensor positive, totals;  // [n]
};

/// The loss of `reference` for queries [n,D], n >= 1, and keys [m,D], float32, and with them its
/// gradient by the queries: one pass over the keys. Throws c10::IndexError in the name of `who` for
/// a positive that is not among the keys.
inline CpuForward cpu_forward(const torch::Tensor& queries, const torch::Tensor& keys,
                              const torch::Tensor& positive, double temperature, bool with_gradient,
                              const std::string& who) {
  CpuForward result;
  result.queries = detail::with_norms(queries);
  result.keys = detail::with_norms(keys);
  result.positive = positive.contiguous();
  detail::check_positive(result.positive, keys.size(0), who);
  result.totals = at::empty(positive.sizes(), queries.options().dtype(torch::kDouble));
  const auto at_positive = at::empty(positive.sizes(), queries.options());
  if (with_gradient) result.by_queries = at::empty(queries.sizes(), queries.options());
  auto contrast =
      detail::between(result.queries, result.keys, temperature, result.totals, result.by_queries);
  contrast.marked_row = result.positive.const_data_ptr<std::int64_t>();
  contrast.marked = at_positive.mutable_data_ptr<float>();
  cpu::compute(contrast, queries.size(0));
  result.loss = at::full({}, 2 * temperature * detail::mean_loss(result.totals, at_positive),
                         queries.options());
  return result;
}

/// The gradient by the keys, [m,D], which lacks the factor 2 / n: for each key the sum of the
/// queries, weighted by what their softmax gives it, less 1 where it is the positive.
inline torch::Tensor cpu_gradient_by_keys(const CpuForward& forward, double temperature) {
  const auto& keys = forward.keys.vectors;
  const auto weights = forward.totals.reciprocal().to(torch::kFloat);
  const auto gradients = at::empty(keys.sizes(), keys.options());
  const auto sums = at::empty({keys.size(0)}, forward.totals.options());
  auto contrast = detail::between(forward.keys, forward.queries, temperature, sums, gradients);
  contrast.weights = weights.const_data_ptr<float>();
  contrast.own_column = forward.positive.const_data_ptr<std::int64_t>();
  cpu::compute(contrast, keys.size(0));
  return gradients;
}

namespace detail {

/// What both devices' nodes of the graph are told.
struct Settings {
  double temperature;
  bool by_queries, by_keys;  // which gradients will be asked for
  std::string who;
};

/// The loss as a node of the graph. The gradient by the queries comes out of the same pass over the
/// keys as the loss; that by the keys takes a second one, over the queries.
class CpuSlotInfoNCE : public torch::autograd::Function<CpuSlotInfoNCE> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& queries, const torch::Tensor& keys,
                               const torch::Tensor& positive, const Settings& settings) {
    const auto result = cpu_forward(queries, keys, positive, settings.temperature,
                                    settings.by_queries, settings.who);
    if (settings.by_keys) {
      context->save_for_backward({result.by_queries, queries, keys, result.queries.inverse_norms,
                                  result.keys.inverse_norms, result.positive, result.totals});
    } else if (settings.by_queries) {
      context->save_for_backward({result.by_queries, queries});
    }
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["who"] = settings.who;
    return result.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    const auto& queries = saved[1];
    const auto keys = saved.size() > 2 ? saved[2] : torch::Tensor();
    return once_differentiable(
        context->saved_data["who"].toStringRef(), {queries, keys, by_loss[0]}, [&] {
          const auto scale = by_loss[0] * (2.0 / static_cast<double>(queries.size(0)));
          torch::autograd::variable_list gradients(4);
          if (context->needs_input_grad(0)) gradients[0] = saved[0] * scale;
          if (context->needs_input_grad(1)) {
            CpuForward forward;
            forward.queries = {queries.contiguous(), saved[3]};
            forward.keys = {keys.contiguous(), saved[4]};
            forward.positive = saved[5];
            forward.totals = saved[6];
            const double temperature = context->saved_data["temperature"].toDouble();
            gradients[1] = cpu_gradient_by_keys(forward, temperature).mul_(scale);
          }
          return gradients;
        });
  }
};

}  // namespace detail

}  // namespace slotcon::kernel::slot_info_nce
