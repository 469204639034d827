// Slot InfoNCE by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/once_differentiable.h>
#include <slotcon/kernel/slot_info_nce/cpu.h>
#include <slotcon/kernel/slot_info_nce/cuda.h>
#include <slotcon/kernel/slot_info_nce/true_places.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

namespace slotcon::kernel::slot_info_nce {

/// Which rows of two sets take part in a contrast, known to their device alone; see CudaRows.
struct Picked {
  torch::Tensor query_count, query_places;
  torch::Tensor key_count, key_places;
};

/// The same with the place of each picked query's positive among the picked keys.
struct PickedPairs {
  Picked picked;
  torch::Tensor positive;
};

/// The queries that `query_mask` picks and the keys that `key_mask` picks, [M] bool: the positive
/// of query i is key i, so a query that is picked is among the keys.
inline PickedPairs pick_pairs(const torch::Tensor& query_mask, const torch::Tensor& key_mask) {
  const auto queries = true_places(query_mask), keys = true_places(key_mask);
  return {{queries.count, queries.places, keys.count, keys.places},
          keys.order.index_select(0, queries.places)};
}

namespace detail {

/// The loss on a CUDA device as a node of the graph. The gradient by the queries comes out of the
/// same pass over the keys as the loss; that by the keys takes a second one, over the queries.
class CudaSlotInfoNCE : public torch::autograd::Function<CudaSlotInfoNCE> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& queries, const torch::Tensor& keys,
                               const torch::Tensor& positive, const Picked& picked,
                               const Settings& settings) {
    const auto result = cuda_forward({queries, picked.query_count, picked.query_places},
                                     {keys, picked.key_count, picked.key_places}, positive,
                                     settings.temperature, settings.by_queries);
    context->save_for_backward({result.by_queries, queries, keys, positive, result.inverse_totals,
                                picked.query_count, picked.query_places, picked.key_count,
                                picked.key_places});
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["who"] = settings.who;
    return result.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    const CudaRows queries{saved[1], saved[5], saved[6]}, keys{saved[2], saved[7], saved[8]};
    const auto as = [&](const torch::Tensor& gradient, const CudaRows& rows) {
      return (gradient * by_loss[0]).to(rows.vectors.scalar_type());
    };
    return once_differentiable(
        context->saved_data["who"].toStringRef(), {queries.vectors, keys.vectors, by_loss[0]}, [&] {
          torch::autograd::variable_list gradients(5);
          if (context->needs_input_grad(0)) gradients[0] = as(saved[0], queries);
          if (context->needs_input_grad(1)) {
            gradients[1] = as(cuda_gradient_by_keys(queries, keys, saved[3], {{}, {}, saved[4]},
                                                    context->saved_data["temperature"].toDouble()),
                              keys);
          }
          return gradients;
        });
  }
};

/// The type in which CUDA kernels multiply: that of both sets if it is a half type and the device
/// has tensor cores, else float32. In float16 the weights of a temperature below 0.1 would be 0.
inline at::ScalarType cuda_type(const torch::Tensor& queries, const torch::Tensor& keys,
                                double temperature) {
  const auto type = queries.scalar_type();
  if (type != keys.scalar_type() || !cuda::has_tensor_cores(queries)) return torch::kFloat;
  return type == torch::kHalf && temperature < 0.1 ? torch::kFloat : type;
}

inline Settings settings_of(const torch::Tensor& queries, const torch::Tensor& keys,
                            double temperature, const char* who) {
  const bool graph = at::GradMode::is_enabled();
  return {temperature, graph && queries.requires_grad(), graph && keys.requires_grad(), who};
}

}  // namespace detail

/// As `reference`, of what choose() says yes to, differentiable once; on the CPU equal on any
/// number of threads. On the CPU half types become float32; on CUDA their products are of their
/// type, the sums float32. Memory beside the gradients: on the CPU O(D) a thread and O(n + m), on
/// CUDA O((n + m) D). Throws c10::IndexError on the CPU for a positive that is not among the keys;
/// on CUDA the loss is infinite.
inline torch::Tensor fused(const torch::Tensor& queries, const torch::Tensor& keys,
                           const torch::Tensor& positive, double temperature, const char* who) {
  const auto settings = detail::settings_of(queries, keys, temperature, who);
  if (!queries.is_cuda()) {
    return detail::CpuSlotInfoNCE::apply(queries.to(torch::kFloat), keys.to(torch::kFloat),
                                         positive, settings);
  }
  const auto type = detail::cuda_type(queries, keys, temperature);
  return detail::CudaSlotInfoNCE::apply(queries.to(type), keys.to(type), positive, Picked(),
                                        settings);
}

/// The contrast between the queries [M,D] and the keys [M,D] that pick_pairs() picks. For CUDA: how
/// many there are stays on the device, and nothing waits for it.
inline torch::Tensor cuda_fused_pairs(const torch::Tensor& queries, const torch::Tensor& keys,
                                      const torch::Tensor& query_mask,
                                      const torch::Tensor& key_mask, double temperature,
                                      const char* who) {
  const auto pairs = pick_pairs(query_mask, key_mask);
  const auto type = detail::cuda_type(queries, keys, temperature);
  return detail::CudaSlotInfoNCE::apply(queries.to(type), keys.to(type), pairs.positive,
                                        pairs.picked,
                                        detail::settings_of(queries, keys, temperature, who));
}

}  // namespace slotcon::kernel::slot_info_nce
