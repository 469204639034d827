// Semantic grouping: positions of a feature map are assigned to prototypes and pooled into slots.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/core/precision.h>
#include <slotcon/kernel/semantic_grouping/dispatch.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <ostream>

namespace slotcon {

/// Numbers of semantic grouping.
struct SemanticGroupingOptions {
  /// Sizes are taken from the table: for the functional.
  SemanticGroupingOptions() = default;
  SemanticGroupingOptions(std::int64_t num_prototypes, std::int64_t dim)
      : num_prototypes_(num_prototypes), dim_(dim) {}

  TORCH_ARG(std::int64_t, num_prototypes) = 0;  ///< K >= 1: prototypes, and slots of an image.
  TORCH_ARG(std::int64_t, dim) = 0;             ///< D >= 1: channels of the features.
  TORCH_ARG(double, temperature) = 0.07;        ///< > 0: divides the cosines before the softmax.
  TORCH_ARG(double, eps) = 1e-6;  ///< >= 0: added to every assignment after the softmax.
  TORCH_ARG(Backend, backend) = Backend::kAuto;
};

/// What semantic grouping makes of a batch.
struct Grouping {
  torch::Tensor slots;    ///< [B,K,D], dtype of the features: the features that each prototype won
  torch::Tensor scores;   ///< [B,K,*spatial], float32 (float64 for float64 features): cosines
  torch::Tensor present;  ///< [B,K] bool: the prototype wins at least one position
};

namespace detail {

inline void check_numbers(const SemanticGroupingOptions& options) {
  TORCH_CHECK_VALUE(options.temperature() > 0, "semantic_grouping: expected temperature > 0, got ",
                    options.temperature());
  TORCH_CHECK_VALUE(options.eps() >= 0, "semantic_grouping: expected eps >= 0, got ",
                    options.eps());
}

inline void check_grouping(const torch::Tensor& features, const torch::Tensor& prototypes,
                           const SemanticGroupingOptions& options) {
  check_numbers(options);
  TORCH_CHECK_VALUE(features.dim() >= 3,
                    "semantic_grouping: expected features [B,D,*spatial], got ", features.sizes());
  TORCH_CHECK_VALUE(prototypes.dim() == 2 && prototypes.size(0) > 0,
                    "semantic_grouping: expected prototypes [K,D] with K >= 1, got ",
                    prototypes.sizes());
  TORCH_CHECK_VALUE(
      features.size(1) == prototypes.size(1),
      "semantic_grouping: expected features with as many channels as the prototypes, ",
      prototypes.size(1), ", got ", features.size(1));
  TORCH_CHECK_VALUE(
      (options.num_prototypes() == 0 || options.num_prototypes() == prototypes.size(0)) &&
          (options.dim() == 0 || options.dim() == prototypes.size(1)),
      "semantic_grouping: expected prototypes [", options.num_prototypes(), ", ", options.dim(),
      "] as the options say, got ", prototypes.sizes());
  TORCH_CHECK_VALUE(features.device() == prototypes.device(),
                    "semantic_grouping: expected features and prototypes on one device, got ",
                    features.device(), " and ", prototypes.device());
}

}  // namespace detail

namespace functional {

/// Assigns each position of a feature map to prototypes and pools the positions of each into a
/// slot.
///
///     scores[b,k,n] = <p_k / |p_k|, x_bn / |x_bn|>                    (norms not below 1e-12)
///     a[b,k,n]      = softmax_k(scores[b,k,n] / temperature) + eps
///     slots[b,k]    = sum_n a[b,k,n] x_bn / sum_n a[b,k,n]
///
/// Shapes: `features` [B,D,*spatial], `prototypes` [K,D]; `slots` [B,K,D], `scores` [B,K,*spatial],
///   `present` [B,K], without gradient; the fused kernel's scores lie in memory as channels-last.
///   B may be 0; with no position the slots are 0 and none is present. K may exceed the number of
///   positions. Of equal scores the lowest prototype wins.
/// Types: float16, bfloat16, float32, float64 on any device; see `Grouping` for the results' types.
/// Numerics: norms, cosines, softmax and pooling in float32 (float64 for float64), under autocast
///   too. Of bfloat16 features the fused kernel rounds what it multiplies, prototypes and
///   assignments, to bfloat16 as well where the processor has products of that type; their sums
///   are float32.
///   A zero feature vector has score 0 with every prototype and adds nothing to a slot's sum. A
///   prototype that wins no position pools by its softmax tail and eps, so its slot tends to the
///   mean feature.
/// Gradient: features and prototypes, through slots and scores. Differentiable twice by
///   Backend::kReference; the fused kernel's second derivative throws c10::NotImplementedError.
/// Several processes: every image is grouped on its own, nothing travels. The gradient of the
///   prototypes is that of this process' images.
/// Determinism: equal results from run to run on one device and thread count; those of the fused
///   CPU kernel are equal for 1 to 8 threads.
/// Backends: the fused kernels run for all types but float64, for temperature >= 0.025, on the CPU
///   and, in a program that links slotcon::cuda, on CUDA devices.
/// Throws c10::ValueError or c10::TypeError for shapes, sizes, devices or numbers that do not fit.
/// Example:
///     auto grouping = functional::semantic_grouping(features, prototypes);
/// Paper: Wen et al., "Self-Supervised Visual Representation Learning with Semantic Grouping",
///   NeurIPS 2022, section 3.2.
inline Grouping semantic_grouping(const torch::Tensor& features, const torch::Tensor& prototypes,
                                  const SemanticGroupingOptions& options = {}) {
  detail::check_grouping(features, prototypes, options);
  const auto type = compute_type(features.scalar_type(), "semantic_grouping");
  const auto choice = kernel::semantic_grouping::choose(features, options.temperature());
  const bool is_fused =
      kernel::use_fused_on(features.device(), options.backend(), choice, "semantic_grouping");
  const AutocastOff precise;
  const auto compute =
      is_fused ? &kernel::semantic_grouping::fused<> : &kernel::semantic_grouping::reference;
  const auto positions = features.flatten(2);
  const auto [slots, scores, present] =
      compute(is_fused ? positions : positions.to(type), prototypes.to(type), options.temperature(),
              options.eps());
  auto score_sizes = features.sizes().vec();
  score_sizes[1] = prototypes.size(0);
  return {slots.to(features.scalar_type()), scores.reshape(score_sizes), present};
}

}  // namespace functional

/// Learnable prototypes with `functional::semantic_grouping`. The table is `slot_embed.weight`
/// [K,D], drawn from N(0,1) and never renormalised, as in published checkpoints.
class SemanticGroupingImpl : public torch::nn::Cloneable<SemanticGroupingImpl> {
 public:
  SemanticGroupingImpl(std::int64_t num_prototypes, std::int64_t dim)
      : SemanticGroupingImpl(SemanticGroupingOptions(num_prototypes, dim)) {}
  explicit SemanticGroupingImpl(const SemanticGroupingOptions& options_) : options(options_) {
    reset();
  }

  void reset() override {
    detail::check_numbers(options);
    TORCH_CHECK_VALUE(options.num_prototypes() >= 1 && options.dim() >= 1,
                      "SemanticGrouping: expected num_prototypes >= 1 and dim >= 1, got ",
                      options.num_prototypes(), " and ", options.dim());
    slot_embed = register_module("slot_embed",
                                 torch::nn::Embedding(options.num_prototypes(), options.dim()));
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::SemanticGrouping(num_prototypes=" << options.num_prototypes()
        << ", dim=" << options.dim() << ", temperature=" << options.temperature() << ")";
  }

  Grouping forward(const torch::Tensor& features) {
    return functional::semantic_grouping(features, prototypes(), options);
  }

  torch::Tensor& prototypes() { return slot_embed->weight; }  ///< [K,D]

  SemanticGroupingOptions options;
  torch::nn::Embedding slot_embed{nullptr};
};
TORCH_MODULE(SemanticGrouping);

}  // namespace slotcon
