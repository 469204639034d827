// Semantic grouping of some positions of an image, forward.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_FORWARD_H
#define SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_FORWARD_H
#include <slotcon/kernel/cpu/exp.h>
#include <slotcon/kernel/cpu/scratch.h>
#include <slotcon/kernel/semantic_grouping/cpu_prototypes.h>

namespace slotcon::kernel::semantic_grouping {

/// What the forward pass of one image reads and writes.
struct ForwardImage {
  Index slots, dims;         // K, D
  float sharpness, eps;      // 1 / temperature
  Operand operand;           // of the products
  cpu::Matrix features;      // [D,N]
  const float* prototypes;   // of unit length, by pack_by_slot()
  float* scores;             // [N,K]
  float* inverse_norm;       // [N]  1 / |x_n|
  float* inverse_partition;  // [N]  1 / sum_k e^((score - 1) / temperature)
  bool* present;             // [K]  becomes true for what wins a position
  float* sums;               // [K,D]  sum_n a x, over the positions of the task
  float* totals;             // [K]  sum_n a
};

}  // namespace slotcon::kernel::semantic_grouping

#define SLOTCON_SIMD_FILE <slotcon/kernel/semantic_grouping/cpu_forward.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE {

/// Positions to work on at a time. Each block of them goes through all packed prototypes and all
/// sums of the slots once: many, for those to be worth their way from memory.
constexpr Index kBlock = 196 / kTileRows * kTileRows;

struct ForwardBuffers {
  ForwardBuffers(const ForwardImage& image, Index rows, cpu::Scratch& scratch)
      : stride(round_up(image.slots, kTileColumns)),
        features_left(scratch.take(left_size(image.dims, rows, image.operand))),
        features_right(scratch.take(right_size(rows, image.dims, image.operand))),
        block(scratch.take(rows * stride)),
        totals(scratch.take(stride)),
        weights(scratch.take(left_size(rows, kChunk, image.operand))) {}

  Index stride;           // floats from position to position of `block`
  float* features_left;   // x as left operand of depth D
  float* features_right;  // x as right operand of D columns
  float* block;           // [positions][slots]: <x, s>, then assignments
  float* totals;          // of the block's assignments
  float* weights;         // assignments of a chunk of slots as left operand
};

/// 1 / |x| of the rows of a left operand.
SLOTCON_SIMD inline void inverse_norms(const float* left, Index depth, Index rows, float* to,
                                       Operand operand) {
  const Index levels = packed_depth(depth, operand);
  for (Index row = 0; row < rows; row += kTileRows) {
    const float* strip = left + row * levels;
    Vector chain[4] = {};
    for (Index d = 0; d < levels; ++d) {
      const Vector value = load(strip + d * kTileRows);
      if (operand == Operand::kFloat) {
        chain[d % 4] = value * value + chain[d % 4];
      } else {
        const Vector first = first_of_pair(value), second = second_of_pair(value);
        chain[d % 2] = first * first + chain[d % 2];
        chain[2 + d % 2] = second * second + chain[2 + d % 2];
      }
    }
    float square[kWidth];
    store(square, (chain[0] + chain[1]) + (chain[2] + chain[3]));
    for (Index i = 0; i < std::min(kTileRows, rows - row); ++i) {
      to[row + i] = inverse_of_norm(square[i]);
    }
  }
}

/// The largest score of a position so far, lane by lane, and its slot.
struct Winner {
  Vector score;
  IntVector slot;

  SLOTCON_SIMD_INLINE void meet(Vector scores, IntVector slots) {
    const IntVector higher = scores > score;
    score = higher ? scores : score;
    slot = higher ? slots : slot;
  }

  /// The slot, the lowest of several with an equal score.
  SLOTCON_SIMD_INLINE Index find() const {
    Index best = 0;
    for (Index i = 1; i < kWidth; ++i) {
      if (score[i] > score[best] || (score[i] == score[best] && slot[i] < slot[best])) best = i;
    }
    return slot[best];
  }
};

/// One position: <x, s> become the scores and, in place, e^((score - 1) / temperature). Scores are
/// cosines, so that no maximum has to be found: the exponent is between -2 / temperature and 0.
/// Returns the sum; the slot with the largest score is present.
SLOTCON_SIMD inline float score(const ForwardImage& image, float inverse_norm, float* row,
                                float* scores) {
  const Vector sharpness = broadcast(image.sharpness);
  const IntVector lane = lane_numbers();
  Vector partition{};
  const Vector none = broadcast(-2);  // below every cosine
  Winner winner{none, IntVector{}};
  for (Index k = 0; k < image.slots; k += kWidth) {
    const Index lanes = std::min(kWidth, image.slots - k);
    Vector value = load(row + k) * inverse_norm;
    store_lanes(scores + k, value, lanes);
    Vector weight = exp_negative(value * sharpness - sharpness);
    if (lanes < kWidth) {
      weight = first_lanes(lanes) ? weight : Vector{};
      value = first_lanes(lanes) ? value : none;
    }
    store(row + k, weight);
    partition += weight;
    winner.meet(value, lane + static_cast<std::int32_t>(k));
  }
  // relaxed: several threads may set it at once
  __atomic_store_n(image.present + winner.find(), true, __ATOMIC_RELAXED);
  return sum(partition);
}

/// The rows of `block` become assignments: softmaxes over the slots, plus eps.
SLOTCON_SIMD inline void assign(const ForwardImage& image, float* block, Index stride, Index first,
                                Index rows, float* totals) {
  std::fill(totals, totals + stride, 0.0f);
  for (Index n = 0; n < rows; ++n) {
    float* row = block + n * stride;
    float* scores = image.scores + (first + n) * image.slots;
    const float inverse = 1.0f / score(image, image.inverse_norm[first + n], row, scores);
    image.inverse_partition[first + n] = inverse;
    for (Index k = 0; k < image.slots; k += kWidth) {
      const Vector value = load(row + k) * inverse + image.eps;
      store(row + k, value);
      store(totals + k, load(totals + k) + value);
    }
  }
}

/// Adds the features of the block's positions to the slots' sums; `add` is false for the first.
SLOTCON_SIMD inline void pool(const ForwardImage& image, const ForwardBuffers& buffers, Index rows,
                              bool add) {
  for (Index k = 0; k < image.slots; k += kChunk) {
    const Index count = std::min(kChunk, image.slots - k);
    pack_left({buffers.block + k, buffers.stride, 1}, rows, count, buffers.weights, image.operand);
    multiply(buffers.weights, buffers.features_right, count, image.dims, rows,
             image.sums + k * image.dims, image.dims, add, image.operand);
  }
  for (Index k = 0; k < image.slots; ++k) image.totals[k] += buffers.totals[k];
}

SLOTCON_SIMD inline void forward_block(const ForwardImage& image, const ForwardBuffers& buffers,
                                       Index first, Index rows, bool add) {
  const auto features = image.features.from(0, first);
  pack_left(features, image.dims, rows, buffers.features_left, image.operand);
  pack_right(features.transposed(), rows, image.dims, buffers.features_right, image.operand);
  inverse_norms(buffers.features_left, image.dims, rows, image.inverse_norm + first, image.operand);
  multiply(buffers.features_left, image.prototypes, rows, buffers.stride, image.dims, buffers.block,
           buffers.stride, false, image.operand);
  assign(image, buffers.block, buffers.stride, first, rows, buffers.totals);
  pool(image, buffers, rows, add);
}

/// Positions first to last of an image; `sums` and `totals` are of these positions alone.
SLOTCON_SIMD inline void forward_positions(const ForwardImage& image, Index first, Index last,
                                           cpu::Scratch& scratch) {
  const ForwardBuffers buffers(image, std::min(kBlock, last - first), scratch);
  std::fill(image.totals, image.totals + image.slots, 0.0f);
  if (first == last) std::fill(image.sums, image.sums + image.slots * image.dims, 0.0f);
  for (Index start = first; start < last; start += kBlock) {
    forward_block(image, buffers, start, std::min(kBlock, last - start), start != first);
  }
}

/// The slots [K,D] of an image from the sums of its parts, added in order; `totals` becomes that of
/// all.
SLOTCON_SIMD inline void finish_slots(const float* sums, const float* part_totals, Index parts,
                                      Index slots_count, Index dims, cpu::MutableMatrix slots,
                                      float* totals) {
  for (Index k = 0; k < slots_count; ++k) {
    float total = 0;
    for (Index part = 0; part < parts; ++part) total += part_totals[part * slots_count + k];
    const float inverse = total == 0 ? 0.0f : 1.0f / total;
    for (Index d = 0; d < dims; d += kWidth) {
      const Index lanes = std::min(kWidth, dims - d);
      Vector value{};
      for (Index part = 0; part < parts; ++part) {
        value += load_lanes(sums + (part * slots_count + k) * dims + d, lanes);
      }
      store_elements(slots.at(k, d), slots.element, value * inverse, lanes);
    }
    totals[k] = total;
  }
}

}  // namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE

#endif
