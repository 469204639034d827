// Slot InfoNCE: slots of the same prototype in the two views attract each other, all others repel.
#pragma once

#include <slotcon/core/backend.h>
#include <slotcon/core/collectives.h>
#include <slotcon/core/precision.h>
#include <slotcon/kernel/semantic_grouping/reference.h>
#include <slotcon/kernel/slot_info_nce/dispatch.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <ostream>
#include <utility>

namespace slotcon {

/// Numbers of slot InfoNCE.
struct SlotInfoNCEOptions {
  TORCH_ARG(double,
            temperature) = 0.2;  ///< > 0: divides the cosines; the loss is scaled by twice it.
  TORCH_ARG(MeanOver, mean_over) = MeanOver::kJoinedBatch;  ///< without meaning in one process.
  TORCH_ARG(Backend, backend) = Backend::kAuto;
};

/// Which slots of a batch take part in the contrast, as rows b K + k of the flattened slots.
struct SlotPairs {
  torch::Tensor anchors;   ///< [n] int64: slots present in both views
  torch::Tensor keys;      ///< [m] int64: slots present in the key view
  torch::Tensor positive;  ///< [n] int64: each anchor's place among `keys`
};

namespace detail {

inline void check_presence(const torch::Tensor& anchor_present, const torch::Tensor& key_present) {
  TORCH_CHECK_VALUE(anchor_present.dim() == 2 && anchor_present.sizes() == key_present.sizes(),
                    "pair_slots: expected two masks [B,K] of one shape, got ",
                    anchor_present.sizes(), " and ", key_present.sizes());
  TORCH_CHECK_TYPE(
      anchor_present.scalar_type() == torch::kBool && key_present.scalar_type() == torch::kBool,
      "pair_slots: expected masks of dtype Bool, got ", anchor_present.scalar_type(), " and ",
      key_present.scalar_type());
}

inline void check_rows(const torch::Tensor& queries, const torch::Tensor& keys,
                       const torch::Tensor& positive, const SlotInfoNCEOptions& options,
                       const char* who) {
  TORCH_CHECK_VALUE(options.temperature() > 0, who, ": expected temperature > 0, got ",
                    options.temperature());
  TORCH_CHECK_VALUE(queries.dim() == 2 && keys.dim() == 2 && queries.size(1) == keys.size(1), who,
                    ": expected queries [n,D] and keys [m,D], got ", queries.sizes(), " and ",
                    keys.sizes());
  TORCH_CHECK_VALUE(positive.dim() == 1 && positive.size(0) == queries.size(0), who,
                    ": expected positive [", queries.size(0), "], got ", positive.sizes());
}

}  // namespace detail

namespace functional {

/// Which prototypes win at least one position of an image.
///
/// Shapes: `scores` [B,K,*spatial]; result [B,K] bool. Ties go to the lowest prototype; without
/// positions no slot is present. Without gradient. Throws c10::ValueError for other shapes.
inline torch::Tensor present_slots(const torch::Tensor& scores) {
  TORCH_CHECK_VALUE(scores.dim() >= 3 && scores.size(1) > 0,
                    "present_slots: expected scores [B,K,*spatial] with K >= 1, got ",
                    scores.sizes());
  return kernel::semantic_grouping::present(scores.flatten(2));
}

/// Pairs the slots of two views: slot (b,k) of one with slot (b,k) of the other where both are
/// present.
///
/// Shapes: both [B,K] bool, on one device. On an accelerator this waits for the two counts.
/// Throws c10::ValueError or c10::TypeError for shapes or types that do not fit.
inline SlotPairs pair_slots(const torch::Tensor& anchor_present, const torch::Tensor& key_present) {
  detail::check_presence(anchor_present, key_present);
  const auto key_mask = key_present.flatten();
  const auto anchors = (anchor_present.flatten() & key_mask).nonzero().flatten();
  const auto place = key_mask.cumsum(0) - 1;
  return {anchors, key_mask.nonzero().flatten(), place.index_select(0, anchors)};
}

/// InfoNCE of rows: each query against all keys, of which one is its positive.
///
///     l_ij = <q_i / |q_i|, k_j / |k_j|> / temperature
///     loss = 2 temperature mean_i(logsumexp_j l_ij - l_i,positive[i])
///
/// Shapes: `queries` [n,D], `keys` [m,D], `positive` [n] int64 in [0,m) (checked on the CPU only);
///   result 0-d. No query: 0 with a valid graph.
/// Types: any floating; computed in float32 (float64 for float64 queries), result likewise. On CUDA
///   the fused kernel multiplies bfloat16 or float16 vectors in their type and sums in float32.
/// Numerics: norms not below 1e-12.
/// Memory: the fused kernel holds no logits, the gradients and O(n + m); the reference several
///   [n,m].
/// Backends: fused on the CPU and, in a program that links slotcon::cuda, on CUDA devices, for
///   temperatures of at least 0.025.
/// Gradient: queries and keys; differentiable twice (reference) or once (fused).
/// Determinism: equal results from run to run; fused, on any number of threads.
/// Throws c10::ValueError, c10::TypeError or c10::IndexError for shapes, numbers, types or
/// positives
///   that do not fit; c10::NotImplementedError for Backend::kFused where it cannot run.
inline torch::Tensor info_nce(const torch::Tensor& queries, const torch::Tensor& keys,
                              const torch::Tensor& positive,
                              const SlotInfoNCEOptions& options = {}) {
  constexpr auto who = "info_nce";
  detail::check_rows(queries, keys, positive, options, who);
  const auto type = compute_type(queries.scalar_type(), who);
  const double temperature = options.temperature();
  const bool is_fused = kernel::use_fused_on(
      queries.device(), options.backend(),
      kernel::slot_info_nce::choose(queries, keys, positive, temperature), who);
  const AutocastOff precise;
  if (queries.size(0) == 0) return queries.to(type).sum();
  return is_fused ? kernel::slot_info_nce::fused(queries, keys, positive, temperature, who)
                  : kernel::slot_info_nce::reference(queries.to(type), keys.to(type), positive,
                                                     temperature);
}

}  // namespace functional

namespace detail {

/// What `functional::info_nce` takes, picked from the slots of two views.
struct ContrastRows {
  torch::Tensor queries;   // [n,D]
  torch::Tensor keys;      // [m,D], of all processes
  torch::Tensor positive;  // [n]
};

inline void check_slots(const torch::Tensor& anchors, const torch::Tensor& keys,
                        const torch::Tensor& anchor_present) {
  TORCH_CHECK_VALUE(anchors.dim() == 3 && anchors.sizes() == keys.sizes(),
                    "slot_info_nce: expected anchors and keys [B,K,D] of one shape, got ",
                    anchors.sizes(), " and ", keys.sizes());
  TORCH_CHECK_VALUE(anchor_present.sizes() == anchors.sizes().slice(0, 2),
                    "slot_info_nce: expected masks ", anchors.sizes().slice(0, 2), ", got ",
                    anchor_present.sizes());
}

inline ContrastRows contrast_rows(const torch::Tensor& anchors, const torch::Tensor& keys,
                                  const torch::Tensor& anchor_present,
                                  const torch::Tensor& key_present, Collectives* collectives) {
  check_slots(anchors, keys, anchor_present);
  const auto pairs = functional::pair_slots(anchor_present, key_present);
  const auto queries = anchors.flatten(0, 1).index_select(0, pairs.anchors);
  const auto own_keys = keys.flatten(0, 1).index_select(0, pairs.keys);
  if (collectives == nullptr) return {queries, own_keys, pairs.positive};

  const auto gathered = collectives->all_gather_rows(own_keys.detach());
  std::int64_t keys_before = 0;
  for (std::int64_t r = 0; r < collectives->rank(); ++r) {
    keys_before += gathered[static_cast<std::size_t>(r)].size(0);
  }
  return {queries, at::cat(gathered), pairs.positive + keys_before};
}

/// Whether the masks can go to the fused kernel as they are, which spares waiting for the counts.
inline bool contrasts_masks(const torch::Tensor& anchors, const torch::Tensor& keys,
                            const SlotInfoNCEOptions& options) {
  return anchors.is_cuda() && anchors.numel() > 0 && keys.device() == anchors.device() &&
         options.backend() != Backend::kReference && kernel::choose_by_device(anchors).fused &&
         kernel::choose_by_temperature(options.temperature()).fused;
}

inline torch::Tensor contrast_masks(const torch::Tensor& anchors, const torch::Tensor& keys,
                                    const torch::Tensor& anchor_present,
                                    const torch::Tensor& key_present,
                                    const SlotInfoNCEOptions& options) {
  check_slots(anchors, keys, anchor_present);
  check_presence(anchor_present, key_present);
  const AutocastOff precise;
  const auto key_mask = key_present.flatten();
  return kernel::slot_info_nce::cuda_fused_pairs(anchors.flatten(0, 1), keys.flatten(0, 1),
                                                 anchor_present.flatten() & key_mask, key_mask,
                                                 options.temperature(), "slot_info_nce");
}

/// `functional::info_nce` of the rows with `queries` in the place of theirs, and with a weight that
/// makes the processes' average what `options` say.
inline torch::Tensor contrast(const torch::Tensor& queries, const ContrastRows& rows,
                              const SlotInfoNCEOptions& options, Collectives* collectives) {
  const auto own = functional::info_nce(queries, rows.keys, rows.positive, options);
  if (collectives == nullptr || options.mean_over() == MeanOver::kEachProcess) return own;
  return share_of_mean(own, queries.size(0), *collectives);
}

}  // namespace detail

namespace functional {

/// InfoNCE over slot pairs: a slot present in both views against the present slots of the key view.
///
/// The positive of anchor (b,k) is key (b,k). The negatives are all other present keys of all
/// images, on all processes: other slots of the same image and the same slot of other images among
/// them.
///
/// Shapes: `anchors`, `keys` [B,K,D]; `anchor_present`, `key_present` [B,K] bool; result 0-d, the
///   mean over the anchors as in `info_nce`. No anchor: 0 with a valid graph.
/// Types: as `info_nce`.
/// Gradient: anchors; keys too in one process. Keys that come from several processes carry none.
/// Several processes: all of the group call it, also one without slots; images, keys, anchors
///   differ in number. Only present keys travel, after their number. By MeanOver::kJoinedBatch each
///   process weighs by its anchors: averaged over the processes, loss and gradients are those of
///   one process with all images, its keys without gradient. By MeanOver::kEachProcess, as
///   published, the loss of each is the mean over its own anchors.
/// Waiting: an accelerator is waited for, to learn how many slots there are, unless the fused
///   kernel for CUDA runs in one process: it reads that on the device.
/// Throws c10::ValueError or c10::TypeError for shapes, numbers or types that do not fit.
/// Example:
///     auto loss = functional::slot_info_nce(student.slots, teacher.slots, student.present,
///                                           teacher.present);
/// Paper: Wen et al., NeurIPS 2022, section 3.3; van den Oord et al., 2018 (InfoNCE).
inline torch::Tensor slot_info_nce(const torch::Tensor& anchors, const torch::Tensor& keys,
                                   const torch::Tensor& anchor_present,
                                   const torch::Tensor& key_present,
                                   const SlotInfoNCEOptions& options = {},
                                   Collectives* collectives = nullptr) {
  if (collectives == nullptr && detail::contrasts_masks(anchors, keys, options)) {
    return detail::contrast_masks(anchors, keys, anchor_present, key_present, options);
  }
  const auto rows = detail::contrast_rows(anchors, keys, anchor_present, key_present, collectives);
  return detail::contrast(rows.queries, rows, options, collectives);
}

}  // namespace functional

/// A predictor on the anchors, then `functional::slot_info_nce`. Keys are taken as they are,
/// without gradient.
///
/// The predictor is any module from rows [n,D] to rows [n,D], usually a `ProjectionHead`. It sees
/// only the anchors of this process, so n differs from step to step, can be 0, and is waited for on
/// an accelerator.
class SlotInfoNCEImpl : public torch::nn::Cloneable<SlotInfoNCEImpl> {
 public:
  explicit SlotInfoNCEImpl(torch::nn::AnyModule predictor_, const SlotInfoNCEOptions& options_ = {})
      : options(options_), predictor(std::move(predictor_)) {
    register_module("predictor", predictor.ptr());
  }

  /// Called for a clone, whose predictor must be its own.
  void reset() override {
    predictor = predictor.clone();
    register_module("predictor", predictor.ptr());
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::SlotInfoNCE(temperature=" << options.temperature() << ")";
  }

  torch::Tensor forward(const torch::Tensor& anchors, const torch::Tensor& keys,
                        const torch::Tensor& anchor_present, const torch::Tensor& key_present,
                        Collectives* collectives = nullptr) {
    const auto rows =
        detail::contrast_rows(anchors, keys.detach(), anchor_present, key_present, collectives);
    const auto predicted = predictor.forward(rows.queries.to(predictor_type(anchors)));
    return detail::contrast(predicted, rows, options, collectives);
  }

  SlotInfoNCEOptions options;
  torch::nn::AnyModule predictor;

 private:
  /// The dtype of the predictor's weights: slots of half-precision features meet a float32
  /// predictor.
  at::ScalarType predictor_type(const torch::Tensor& anchors) const {
    const auto weights = predictor.ptr()->parameters();
    return weights.empty() ? anchors.scalar_type() : weights.front().scalar_type();
  }
};
TORCH_MODULE(SlotInfoNCE);

}  // namespace slotcon
