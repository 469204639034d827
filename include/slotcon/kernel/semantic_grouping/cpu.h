// The fused CPU kernel of semantic grouping: float32, threads through at::parallel_for.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/semantic_grouping/cpu_backward.h>
#include <torch/types.h>

#include <optional>
#include <tuple>

namespace slotcon::kernel::semantic_grouping {

/// The results, and the small vectors that the backward pass needs on top.
struct Forward {
  torch::Tensor slots;              // [B,K,D]
  torch::Tensor scores;             // [B,K,N]
  torch::Tensor inverse_norm;       // [B,N]
  torch::Tensor inverse_partition;  // [B,N]
  torch::Tensor totals;             // [B,K]
};

/// The gradients that the backward pass starts from; either may be missing.
struct Incoming {
  std::optional<torch::Tensor> slots;   // [B,K,D]
  std::optional<torch::Tensor> scores;  // [B,K,N]
};

namespace detail {

/// The positions of each image in equal parts, as many as it takes to keep the threads busy when
/// there are few images. Up to kParallel threads the parts, and so the results, do not depend on
/// their number.
class Parts {
 public:
  static constexpr Index kParallel = 8;

  Parts(Index images, Index positions) : images_(images), positions_(positions) {
    constexpr Index kUnit = 28;
    const Index wanted = (parallelism() + images - 1) / std::max<Index>(images, 1);
    const Index units = (positions + kUnit - 1) / kUnit;
    const Index share = std::max<Index>(1, (units + wanted - 1) / std::max<Index>(wanted, 1));
    size_ = share * kUnit;
    count_ = std::max<Index>(1, (positions + size_ - 1) / size_);
  }

  static Index parallelism() { return std::max<Index>(kParallel, at::get_num_threads()); }

  Index count() const { return count_; }            ///< parts of an image
  Index tasks() const { return images_ * count_; }  ///< parts of the batch
  Index first(Index part) const { return part * size_; }
  Index last(Index part) const { return std::min(positions_, (part + 1) * size_); }

 private:
  Index images_, positions_, size_, count_;
};

/// [rows, columns] of one image of a tensor [B, rows, columns].
inline cpu::Matrix image_of(const torch::Tensor& batch, Index image) {
  return {batch.const_data_ptr<float>() + image * batch.stride(0), batch.stride(1),
          batch.stride(2)};
}
inline cpu::MutableMatrix mutable_image_of(const torch::Tensor& batch, Index image) {
  return {batch.data_ptr<float>() + image * batch.stride(0), batch.stride(1), batch.stride(2)};
}

/// The prototypes at unit length, packed.
struct Prototypes {
  torch::Tensor units;         // [K,D]
  torch::Tensor inverse_norm;  // [K]
  torch::Tensor packed;
};

enum class PackedBy { kSlot, kDim };

inline Prototypes prepare(const torch::Tensor& prototypes, PackedBy order) {
  const auto table = prototypes.contiguous();
  const Index slots = table.size(0), dims = table.size(1);
  const bool by_slot = order == PackedBy::kSlot;
  const auto size = by_slot ? SLOTCON_SIMD_SELECT(packed_by_slot_size)(slots, dims)
                            : SLOTCON_SIMD_SELECT(packed_by_dim_size)(slots, dims);
  Prototypes result{at::empty_like(table), at::empty({slots}, table.options()),
                    at::empty({size}, table.options())};
  const auto* from = table.const_data_ptr<float>();
  auto* units = result.units.data_ptr<float>();
  auto* inverse_norm = result.inverse_norm.data_ptr<float>();
  auto* packed = result.packed.data_ptr<float>();
  const Index chunk = SLOTCON_SIMD_SELECT(chunk_of_slots)();
  at::parallel_for(0, (slots + chunk - 1) / chunk, 1, [&](Index begin, Index end) {
    const Index first = begin * chunk, last = std::min(slots, end * chunk);
    SLOTCON_SIMD_SELECT(unit_rows)(from, dims, first, last, units, inverse_norm);
    const auto pack =
        by_slot ? SLOTCON_SIMD_SELECT(pack_by_slot) : SLOTCON_SIMD_SELECT(pack_by_dim);
    pack(units, dims, first, last, packed);
  });
  return result;
}

/// Slots of image `b` from the sums of its parts, [B,parts,K,D] and [B,parts,K].
inline void finish(const torch::Tensor& sums, const torch::Tensor& totals, Index b,
                   const Forward& result) {
  const Index parts = sums.size(1), slots = sums.size(2), dims = sums.size(3);
  SLOTCON_SIMD_SELECT(finish_slots)
  (sums.const_data_ptr<float>() + b * parts * slots * dims,
   totals.const_data_ptr<float>() + b * parts * slots, parts, slots, dims,
   result.slots.data_ptr<float>() + b * slots * dims, result.totals.data_ptr<float>() + b * slots);
}

}  // namespace detail

namespace detail {

/// The forward pass of image `b`; sums and totals are those of one of its parts.
inline ForwardImage forward_image(const torch::Tensor& features, const Prototypes& table,
                                  const Forward& result, Index b, float* sums, float* totals) {
  const Index positions = features.size(2);
  ForwardImage image{};
  image.slots = table.units.size(0);
  image.dims = table.units.size(1);
  image.features = image_of(features, b);
  image.prototypes = table.packed.const_data_ptr<float>();
  image.scores = mutable_image_of(result.scores, b);
  image.inverse_norm = result.inverse_norm.data_ptr<float>() + b * positions;
  image.inverse_partition = result.inverse_partition.data_ptr<float>() + b * positions;
  image.sums = sums;
  image.totals = totals;
  return image;
}

}  // namespace detail

/// Forward pass of features [B,D,N] and prototypes [K,D], float32 on the CPU, of any strides.
inline Forward cpu_forward(const torch::Tensor& features, const torch::Tensor& prototypes,
                           double temperature, double eps) {
  const Index images = features.size(0), dims = features.size(1), positions = features.size(2),
              slots = prototypes.size(0);
  const auto table = detail::prepare(prototypes, detail::PackedBy::kSlot);
  const auto empty = [&](at::IntArrayRef sizes) { return at::empty(sizes, features.options()); };
  const Forward result{empty({images, slots, dims}), empty({images, slots, positions}),
                       empty({images, positions}), empty({images, positions}),
                       empty({images, slots})};
  const detail::Parts parts(images, positions);
  const bool whole = parts.count() == 1;
  const auto sums = whole ? result.slots.unsqueeze(1) : empty({images, parts.count(), slots, dims});
  const auto totals = whole ? result.totals.unsqueeze(1) : empty({images, parts.count(), slots});
  at::parallel_for(0, parts.tasks(), 1, [&](Index begin, Index end) {
    cpu::Scratch scratch;
    for (Index task = begin; task < end; ++task) {
      const Index b = task / parts.count(), part = task % parts.count();
      auto image = detail::forward_image(features, table, result, b,
                                         sums.data_ptr<float>() + task * slots * dims,
                                         totals.data_ptr<float>() + task * slots);
      image.sharpness = static_cast<float>(1 / temperature);
      image.eps = static_cast<float>(eps);
      SLOTCON_SIMD_SELECT(forward_positions)
      (image, parts.first(part), parts.last(part), scratch);
      if (whole) detail::finish(sums, totals, b, result);
    }
  });
  if (whole) return result;
  at::parallel_for(0, images, 1, [&](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) detail::finish(sums, totals, b, result);
  });
  return result;
}

/// Which gradients the backward pass is to compute.
struct Wanted {
  bool features, prototypes;
};

namespace detail {

/// H as a matrix whose rows or columns are contiguous.
inline torch::Tensor with_unit_stride(const torch::Tensor& batch) {
  return batch.stride(1) == 1 || batch.stride(2) == 1 ? batch : batch.contiguous();
}

/// [B,D,N] in the memory order of `features`: channels last stay last.
inline torch::Tensor empty_gradient(const torch::Tensor& features) {
  if (features.stride(1) != 1 || features.stride(2) == 1) {
    return at::empty(features.sizes(), features.options());
  }
  return at::empty({features.size(0), features.size(2), features.size(1)}, features.options())
      .transpose(1, 2);
}

/// The gradient of the prototypes from the partial sums [parts,K,D] of that of their unit vectors.
inline torch::Tensor gradient_of_prototypes(const Prototypes& table,
                                            const torch::Tensor& grad_units) {
  const Index parts = grad_units.size(0), slots = grad_units.size(1), dims = grad_units.size(2);
  auto result = at::empty({slots, dims}, grad_units.options());
  const auto* units = table.units.const_data_ptr<float>();
  const auto* inverse_norm = table.inverse_norm.const_data_ptr<float>();
  const auto* from = grad_units.const_data_ptr<float>();
  auto* to = result.data_ptr<float>();
  at::parallel_for(0, slots, 16, [&](Index begin, Index end) {
    SLOTCON_SIMD_SELECT(prototype_gradient)
    (units, inverse_norm, from, parts, slots * dims, dims, begin, end, to);
  });
  return result;
}

/// The backward pass of image `b`, without the gradients that start it and that it gives.
inline BackwardImage backward_image(const torch::Tensor& features, const Prototypes& table,
                                    const Forward& forward, Index b) {
  const Index slots = table.units.size(0), dims = table.units.size(1), positions = features.size(2);
  BackwardImage image{};
  image.slots_count = slots;
  image.dims = dims;
  image.features = image_of(features, b);
  image.scores = image_of(forward.scores, b);
  image.slots = forward.slots.const_data_ptr<float>() + b * slots * dims;
  image.totals = forward.totals.const_data_ptr<float>() + b * slots;
  image.inverse_norm = forward.inverse_norm.const_data_ptr<float>() + b * positions;
  image.inverse_partition = forward.inverse_partition.const_data_ptr<float>() + b * positions;
  image.prototypes = table.packed.const_data_ptr<float>();
  return image;
}

/// The gradients of one backward pass; what is missing is undefined.
struct Gradients {
  torch::Tensor slots, scores;    // come in: [B,K,D], contiguous; [B,K,N], with a unit stride
  torch::Tensor features, units;  // go out: [B,D,N]; [groups,K,D], of prototypes at unit length

  void give(BackwardImage& image, Index b, Index group) const {
    const Index table = image.slots_count * image.dims;
    if (slots.defined()) image.grad_slots = slots.const_data_ptr<float>() + b * table;
    if (scores.defined()) image.grad_scores = image_of(scores, b);
    if (features.defined()) image.grad_features = mutable_image_of(features, b);
    if (units.defined()) image.grad_units = units.data_ptr<float>() + group * table;
  }
};

}  // namespace detail

/// Backward pass: the gradients of features and prototypes, undefined where not wanted. The tasks
/// are divided into groups, each of which sums up its own gradient of the prototypes.
inline std::tuple<torch::Tensor, torch::Tensor> cpu_backward(
    const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
    const Incoming& incoming, double temperature, double eps, Wanted wanted) {
  const auto table = detail::prepare(prototypes, detail::PackedBy::kDim);
  const detail::Parts parts(features.size(0), features.size(2));
  const Index tasks = parts.tasks(), groups = std::min(detail::Parts::parallelism(), tasks);
  detail::Gradients gradients;
  if (incoming.slots) gradients.slots = incoming.slots->contiguous();
  if (incoming.scores) gradients.scores = detail::with_unit_stride(*incoming.scores);
  if (wanted.features) gradients.features = detail::empty_gradient(features);
  if (wanted.prototypes) {
    gradients.units =
        at::zeros({groups, prototypes.size(0), prototypes.size(1)}, features.options());
  }
  at::parallel_for(0, groups, 1, [&](Index begin, Index end) {
    cpu::Scratch scratch;
    for (Index group = begin; group < end; ++group) {
      for (Index task = group * tasks / groups; task < (group + 1) * tasks / groups; ++task) {
        const Index b = task / parts.count(), part = task % parts.count();
        auto image = detail::backward_image(features, table, forward, b);
        image.sharpness = static_cast<float>(1 / temperature);
        image.eps = static_cast<float>(eps);
        gradients.give(image, b, group);
        SLOTCON_SIMD_SELECT(backward_positions)
        (image, parts.first(part), parts.last(part), scratch);
      }
    }
  });
  const auto grad_prototypes =
      wanted.prototypes ? detail::gradient_of_prototypes(table, gradients.units) : torch::Tensor();
  return {gradients.features, grad_prototypes};
}

}  // namespace slotcon::kernel::semantic_grouping
