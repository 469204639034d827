// The passes of semantic grouping on the CPU: threads through at::parallel_for.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/cpu/element_of.h>
#include <slotcon/kernel/semantic_grouping/cpu.h>
#include <slotcon/kernel/semantic_grouping/cpu_backward.h>
#include <torch/types.h>

#include <tuple>

namespace slotcon::kernel::semantic_grouping {

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

/// What the products of these features are of: bfloat16 loses nothing of the features themselves.
inline Operand operand_for(const torch::Tensor& features) {
  const bool bfloat16 = features.scalar_type() == torch::kBFloat16 && cpu::has_bfloat16_products();
  return bfloat16 ? Operand::kBFloat16 : Operand::kFloat;
}

/// [rows, columns] of one image of a tensor [B, rows, columns].
inline cpu::Matrix image_of(const torch::Tensor& batch, Index image) {
  const auto* data = static_cast<const char*>(batch.const_data_ptr());
  return {data + image * batch.stride(0) * batch.element_size(), batch.stride(1), batch.stride(2),
          cpu::element_of(batch)};
}
inline cpu::MutableMatrix mutable_image_of(const torch::Tensor& batch, Index image) {
  auto* data = static_cast<char*>(batch.mutable_data_ptr());
  return {data + image * batch.stride(0) * batch.element_size(), batch.stride(1), batch.stride(2),
          cpu::element_of(batch)};
}

/// The prototypes at unit length, packed.
struct Prototypes {
  torch::Tensor units;         // [K,D]
  torch::Tensor inverse_norm;  // [K]
  torch::Tensor packed;
};

enum class PackedBy { kSlot, kDim };

inline Prototypes prepare(const torch::Tensor& prototypes, PackedBy order, Operand operand) {
  const auto table = prototypes.contiguous();
  const Index slots = table.size(0), dims = table.size(1);
  const bool by_slot = order == PackedBy::kSlot;
  const auto size = by_slot ? SLOTCON_SIMD_SELECT(packed_by_slot_size)(slots, dims, operand)
                            : SLOTCON_SIMD_SELECT(packed_by_dim_size)(slots, dims, operand);
  Prototypes result{at::empty_like(table), at::empty({slots}, table.options()),
                    at::empty({size}, table.options())};
  const auto* from = table.const_data_ptr<float>();
  auto* units = result.units.data_ptr<float>();
  auto* inverse_norm = result.inverse_norm.data_ptr<float>();
  auto* packed = result.packed.data_ptr<float>();
  const Index chunk = SLOTCON_SIMD_SELECT(chunk_of_slots)();
  at::parallel_for(0, (slots + chunk - 1) / chunk, 1, [&](Index begin, Index end) {
    const Index first = begin * chunk, last = std::min(slots, end * chunk);
    SLOTCON_SIMD_SELECT(unit_prototypes)(from, dims, first, last, units, inverse_norm);
    const auto pack =
        by_slot ? SLOTCON_SIMD_SELECT(pack_by_slot) : SLOTCON_SIMD_SELECT(pack_by_dim);
    pack({units, dims, 1}, dims, first, last, packed, operand);
  });
  return result;
}

/// The sums over the positions of the parts of a batch, [B,parts,K,D] and [B,parts,K]. There are
/// none of an image in one part: its sums are finished where they were made.
struct PartSums {
  torch::Tensor sums, totals;

  float* of(Index task) const {
    return sums.data_ptr<float>() + task * sums.size(2) * sums.size(3);
  }
  float* totals_of(Index task) const { return totals.data_ptr<float>() + task * totals.size(2); }
};

/// The results, not yet computed; no slot is present.
inline Forward make_results(const torch::Tensor& features, Index slots) {
  const Index images = features.size(0), dims = features.size(1), positions = features.size(2);
  const auto floats = features.options().dtype(torch::kFloat);
  return {at::empty({images, slots, dims}, features.options()),
          at::empty({images, positions, slots}, floats).transpose(1, 2),
          at::zeros({images, slots}, features.options().dtype(torch::kBool)),
          at::empty({images, positions}, floats),
          at::empty({images, positions}, floats),
          at::empty({images, slots}, floats)};
}

/// The forward pass of a batch.
class CpuForward {
 public:
  CpuForward(const torch::Tensor& features, const torch::Tensor& prototypes, double temperature,
             double eps)
      : features_(features),
        sharpness_(static_cast<float>(1 / temperature)),
        eps_(static_cast<float>(eps)),
        slots_(prototypes.size(0)),
        dims_(prototypes.size(1)),
        operand_(operand_for(features)),
        table_(prepare(prototypes, PackedBy::kSlot, operand_)),
        parts_(features.size(0), features.size(2)),
        result_(make_results(features, slots_)) {}

  Forward run() {
    if (parts_.count() == 1) {
      run_images();
    } else {
      run_parts();
    }
    return result_;
  }

 private:
  void run_images() {
    at::parallel_for(0, parts_.tasks(), 1, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      for (Index b = begin; b < end; ++b) {
        scratch.rewind();
        float* const sums = scratch.take(slots_ * dims_);
        float* const totals = scratch.take(slots_);
        SLOTCON_SIMD_SELECT(forward_positions)
        (image(b, sums, totals), 0, features_.size(2), scratch);
        finish(b, sums, totals, 1);
      }
    });
  }

  void run_parts() {
    const Index images = features_.size(0), count = parts_.count();
    const auto floats = result_.totals.options();
    const PartSums parts{at::empty({images, count, slots_, dims_}, floats),
                         at::empty({images, count, slots_}, floats)};
    at::parallel_for(0, parts_.tasks(), 1, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      for (Index task = begin; task < end; ++task) {
        scratch.rewind();
        const Index b = task / count, part = task % count;
        SLOTCON_SIMD_SELECT(forward_positions)
        (image(b, parts.of(task), parts.totals_of(task)), parts_.first(part), parts_.last(part),
         scratch);
      }
    });
    at::parallel_for(0, images, 1, [&](Index begin, Index end) {
      for (Index b = begin; b < end; ++b) {
        finish(b, parts.of(b * count), parts.totals_of(b * count), count);
      }
    });
  }

  /// Image `b`; sums and totals are those of one of its parts.
  ForwardImage image(Index b, float* sums, float* totals) const {
    const Index positions = features_.size(2);
    return {slots_,
            dims_,
            sharpness_,
            eps_,
            operand_,
            image_of(features_, b),
            table_.packed.const_data_ptr<float>(),
            result_.scores.data_ptr<float>() + b * positions * slots_,
            result_.inverse_norm.data_ptr<float>() + b * positions,
            result_.inverse_partition.data_ptr<float>() + b * positions,
            result_.present.data_ptr<bool>() + b * slots_,
            sums,
            totals};
  }

  void finish(Index b, const float* sums, const float* totals, Index parts) const {
    SLOTCON_SIMD_SELECT(finish_slots)
    (sums, totals, parts, slots_, dims_, mutable_image_of(result_.slots, b),
     result_.totals.data_ptr<float>() + b * slots_);
  }

  const torch::Tensor features_;
  const float sharpness_, eps_;
  const Index slots_, dims_;
  const Operand operand_;
  const Prototypes table_;
  const Parts parts_;
  const Forward result_;
};

}  // namespace detail

SLOTCON_CPU_KERNEL Forward cpu_forward(const torch::Tensor& features,
                                       const torch::Tensor& prototypes, double temperature,
                                       double eps) {
  return detail::CpuForward(features, prototypes, temperature, eps).run();
}

namespace detail {

/// H as a matrix whose rows or columns are contiguous.
inline torch::Tensor with_unit_stride(const torch::Tensor& batch) {
  return batch.stride(1) == 1 || batch.stride(2) == 1 ? batch : batch.contiguous();
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

/// The backward pass of a batch. The tasks are divided into groups, each of which sums up its own
/// gradient of the prototypes.
class CpuBackward {
 public:
  CpuBackward(const torch::Tensor& features, const torch::Tensor& prototypes,
              const Forward& forward, const Incoming& incoming, double temperature, double eps,
              Wanted wanted)
      : features_(features),
        forward_(forward),
        sharpness_(static_cast<float>(1 / temperature)),
        eps_(static_cast<float>(eps)),
        slots_(prototypes.size(0)),
        dims_(prototypes.size(1)),
        operand_(operand_for(features)),
        table_(prepare(prototypes, PackedBy::kDim, operand_)),
        parts_(features.size(0), features.size(2)),
        groups_(std::min(Parts::parallelism(), parts_.tasks())) {
    if (incoming.slots) grad_slots_ = incoming.slots->contiguous();
    if (incoming.scores) grad_scores_ = with_unit_stride(*incoming.scores);
    if (wanted.features) grad_features_ = empty_gradient(features);
    if (wanted.prototypes) grad_units_ = at::empty({groups_, slots_, dims_}, prototypes.options());
  }

  std::tuple<torch::Tensor, torch::Tensor> run() {
    at::parallel_for(0, groups_, 1, [&](Index begin, Index end) {
      cpu::Scratch scratch;
      for (Index group = begin; group < end; ++group) run_group(group, scratch);
    });
    return {grad_features_,
            grad_units_.defined() ? gradient_of_prototypes(table_, grad_units_) : torch::Tensor()};
  }

 private:
  void run_group(Index group, cpu::Scratch& scratch) const {
    const Index tasks = parts_.tasks(), first = group * tasks / groups_;
    for (Index task = first; task < (group + 1) * tasks / groups_; ++task) {
      const Index part = task % parts_.count();
      auto one = image(task / parts_.count(), group);
      one.add_units = task > first;
      SLOTCON_SIMD_SELECT(backward_positions)
      (one, parts_.first(part), parts_.last(part), scratch);
    }
  }

  BackwardImage image(Index b, Index group) const {
    const Index positions = features_.size(2);
    BackwardImage image{};
    image.slots_count = slots_;
    image.dims = dims_;
    image.sharpness = sharpness_;
    image.eps = eps_;
    image.operand = operand_;
    image.features = image_of(features_, b);
    image.scores = forward_.scores.const_data_ptr<float>() + b * positions * slots_;
    image.slots = image_of(forward_.slots, b);
    image.totals = forward_.totals.const_data_ptr<float>() + b * slots_;
    image.inverse_norm = forward_.inverse_norm.const_data_ptr<float>() + b * positions;
    image.inverse_partition = forward_.inverse_partition.const_data_ptr<float>() + b * positions;
    image.prototypes = table_.packed.const_data_ptr<float>();
    if (grad_slots_.defined()) image.grad_slots = image_of(grad_slots_, b);
    if (grad_scores_.defined()) image.grad_scores = image_of(grad_scores_, b);
    if (grad_features_.defined()) image.grad_features = mutable_image_of(grad_features_, b);
    if (grad_units_.defined()) {
      image.grad_units = grad_units_.data_ptr<float>() + group * slots_ * dims_;
    }
    return image;
  }

  const torch::Tensor features_;
  const Forward forward_;
  const float sharpness_, eps_;
  const Index slots_, dims_;
  const Operand operand_;
  const Prototypes table_;
  const Parts parts_;
  const Index groups_;
  torch::Tensor grad_slots_, grad_scores_;    // come in: contiguous; with a unit stride
  torch::Tensor grad_features_, grad_units_;  // go out; [groups,K,D], of prototypes at unit length
};

}  // namespace detail

SLOTCON_CPU_KERNEL std::tuple<torch::Tensor, torch::Tensor> cpu_backward(
    const torch::Tensor& features, const torch::Tensor& prototypes, const Forward& forward,
    const Incoming& incoming, double temperature, double eps, Wanted wanted) {
  return detail::CpuBackward(features, prototypes, forward, incoming, temperature, eps, wanted)
      .run();
}

}  // namespace slotcon::kernel::semantic_grouping
