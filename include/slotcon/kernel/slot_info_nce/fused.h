// Slot InfoNCE by the fused kernel, as a differentiable function.
#pragma once

#include <slotcon/kernel/once_differentiable.h>
#include <slotcon/kernel/slot_info_nce/cpu.h>
#include <slotcon/kernel/slot_info_nce/cuda.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

namespace slotcon::kernel::slot_info_nce {

namespace detail {

/// The loss on a CUDA device as a node of the graph. The gradient by the queries comes out of the
/// same pass over the keys as the loss; that by the keys takes a second one, over the queries.
class CudaSlotInfoNCE : public torch::autograd::Function<CudaSlotInfoNCE> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& queries, const torch::Tensor& keys,
                               const torch::Tensor& positive, const Settings& settings) {
    const auto result = cuda_forward({queries, {}}, {keys, {}}, positive, settings.temperature,
                                     settings.by_queries);
    context->save_for_backward({result.by_queries, queries, keys, positive, result.inverse_totals});
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["who"] = settings.who;
    return result.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_loss) {
    const auto saved = context->get_saved_variables();
    const auto &queries = saved[1], &keys = saved[2];
    return once_differentiable(
        context->saved_data["who"].toStringRef(), {queries, keys, by_loss[0]}, [&] {
          torch::autograd::variable_list gradients(4);
          if (context->needs_input_grad(0)) gradients[0] = saved[0] * by_loss[0];
          if (context->needs_input_grad(1)) {
            gradients[1] =
                cuda_gradient_by_keys({queries, {}}, {keys, {}}, saved[3], {{}, {}, saved[4]},
                                      context->saved_data["temperature"].toDouble())
                    .mul_(by_loss[0]);
          }
          return gradients;
        });
  }
};

}  // namespace detail

/// As `reference`, of float32 and what choose() says yes to, differentiable once; on the CPU equal
/// on any number of threads. Memory beside the gradients: on the CPU O(D) a thread and O(n + m), on
/// CUDA O((n + m) D).
/// Throws c10::IndexError on the CPU for a positive that is not among the keys; on CUDA the loss is
/// infinite.
inline torch::Tensor fused(const torch::Tensor& queries, const torch::Tensor& keys,
                           const torch::Tensor& positive, double temperature, const char* who) {
  const bool graph = at::GradMode::is_enabled();
  const detail::Settings settings{temperature, graph && queries.requires_grad(),
                                  graph && keys.requires_grad(), who};
  return queries.is_cuda() ? detail::CudaSlotInfoNCE::apply(queries, keys, positive, settings)
                           : detail::CpuSlotInfoNCE::apply(queries, keys, positive, settings);
}

}  // namespace slotcon::kernel::slot_info_nce
