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
  Index slots, dims;          // K, D
  float sharpness, eps;       // 1 / temperature
  cpu::Matrix features;       // [D,N]
  const float* prototypes;    // of unit length, by pack_by_slot()
  cpu::MutableMatrix scores;  // [K,N]
  float* inverse_norm;        // [N]  1 / |x_n|
  float* inverse_partition;   // [N]  1 / sum_k e^((score - 1) / temperature)
  float* sums;                // [K,D]  sum_n a x, over the positions of the task
  float* totals;              // [K]  sum_n a
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
  ForwardBuffers(Index slots, Index dims, Index rows, cpu::Scratch& scratch)
      : stride(round_up(slots, kTileColumns)),
        features_left(scratch.take(left_size(dims, rows))),
        features_right(scratch.take(right_size(rows, dims))),
        block(scratch.take(rows * stride)),
        totals(scratch.take(stride)),
        weights(scratch.take(left_size(rows, kChunk))) {}

  Index stride;           // floats from position to position of `block`
  float* features_left;   // x as left operand of depth D
  float* features_right;  // x as right operand of D columns
  float* block;           // [positions][slots]: scores, then assignments
  float* totals;          // of the block's assignments
  float* weights;         // assignments of a chunk of slots as left operand
};

/// 1 / |x| of the rows of a left operand.
SLOTCON_SIMD inline void inverse_norms(const float* left, Index depth, Index rows, float* to) {
  for (Index row = 0; row < rows; row += kTileRows) {
    const float* strip = left + row * depth;
    Vector chain[4] = {};
    Index d = 0;
    for (; d + 4 <= depth; d += 4) {
#pragma GCC unroll 4
      for (Index j = 0; j < 4; ++j) {
        const Vector value = load(strip + (d + j) * kTileRows);
        chain[j] = value * value + chain[j];
      }
    }
    for (; d < depth; ++d) {
      const Vector value = load(strip + d * kTileRows);
      chain[0] = value * value + chain[0];
    }
    float square[kWidth];
    store(square, (chain[0] + chain[1]) + (chain[2] + chain[3]));
    for (Index i = 0; i < std::min(kTileRows, rows - row); ++i) {
      to[row + i] = inverse_of_norm(square[i]);
    }
  }
}

SLOTCON_SIMD inline void scale_rows(float* block, Index stride, Index rows, const float* scale) {
  for (Index n = 0; n < rows; ++n) {
    float* row = block + n * stride;
    for (Index k = 0; k < stride; k += kWidth) store(row + k, load(row + k) * scale[n]);
  }
}

/// Scores become assignments: a softmax over the slots, plus eps. Scores are cosines, so that no
/// maximum has to be found: the exponent is between -2 / temperature and 0.
SLOTCON_SIMD inline void assign(const ForwardImage& image, float* block, Index stride, Index rows,
                                float* inverse_partition, float* totals) {
  std::fill(totals, totals + stride, 0.0f);
  const Vector sharpness = broadcast(image.sharpness);
  for (Index n = 0; n < rows; ++n) {
    float* row = block + n * stride;
    Vector partition{};
    for (Index k = 0; k < stride; k += kWidth) {
      Vector value = exp_negative(load(row + k) * sharpness - sharpness);
      if (k + kWidth > image.slots) value = keep_first(value, image.slots - k);
      store(row + k, value);
      partition += value;
    }
    const float inverse = 1.0f / sum(partition);
    inverse_partition[n] = inverse;
    for (Index k = 0; k < stride; k += kWidth) {
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
    pack_left({buffers.block + k, buffers.stride, 1}, rows, count, buffers.weights);
    multiply(buffers.weights, buffers.features_right, count, image.dims, rows,
             image.sums + k * image.dims, image.dims, add);
  }
  for (Index k = 0; k < image.slots; ++k) image.totals[k] += buffers.totals[k];
}

SLOTCON_SIMD inline void forward_block(const ForwardImage& image, const ForwardBuffers& buffers,
                                       Index first, Index rows, bool add) {
  const auto features = image.features.from(0, first);
  pack_left(features, image.dims, rows, buffers.features_left);
  pack_right(features.transposed(), rows, image.dims, buffers.features_right);
  inverse_norms(buffers.features_left, image.dims, rows, image.inverse_norm + first);
  multiply(buffers.features_left, image.prototypes, rows, buffers.stride, image.dims, buffers.block,
           buffers.stride, false);
  scale_rows(buffers.block, buffers.stride, rows, image.inverse_norm + first);
  copy({buffers.block, 1, buffers.stride}, image.slots, rows, image.scores.from(0, first));
  assign(image, buffers.block, buffers.stride, rows, image.inverse_partition + first,
         buffers.totals);
  pool(image, buffers, rows, add);
}

/// Positions first to last of an image; `sums` and `totals` are of these positions alone.
SLOTCON_SIMD inline void forward_positions(const ForwardImage& image, Index first, Index last,
                                           cpu::Scratch& scratch) {
  scratch.rewind();
  const ForwardBuffers buffers(image.slots, image.dims, std::min(kBlock, last - first), scratch);
  std::fill(image.totals, image.totals + image.slots, 0.0f);
  if (first == last) std::fill(image.sums, image.sums + image.slots * image.dims, 0.0f);
  for (Index start = first; start < last; start += kBlock) {
    forward_block(image, buffers, start, std::min(kBlock, last - start), start != first);
  }
}

/// The slots of an image from the sums of its parts, added in order; `totals` becomes that of all.
/// Of a single part `slots` may be the sums, and `totals` the part's.
SLOTCON_SIMD inline void finish_slots(const float* sums, const float* part_totals, Index parts,
                                      Index slots_count, Index dims, float* slots, float* totals) {
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
      store_lanes(slots + k * dims + d, value * inverse, lanes);
    }
    totals[k] = total;
  }
}

}  // namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE

#endif
