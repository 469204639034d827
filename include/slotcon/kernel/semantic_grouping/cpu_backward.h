// Semantic grouping of some positions of an image, backward.
//
// With p the softmax, a = p + eps, R_k = sum_n a, G and H the gradients of slots and scores, one
// image, s and y the prototypes and features at unit length:
//
//     U_kn = G_k . x_n          c_k = G_k . slot_k          v = p (U - c) / R
//     E_kn = (v - p sum_k v) / temperature + H                the gradient of a score
//     dx_n = sum_k (a / R) G_k + (sum_k E s_k - (sum_k E score) y_n) / |x_n|
//     du_k = sum_n E y_n                                      the gradient of a unit prototype
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_BACKWARD_H
#define SLOTCON_KERNEL_SEMANTIC_GROUPING_CPU_BACKWARD_H
#include <slotcon/kernel/semantic_grouping/cpu_forward.h>

namespace slotcon::kernel::semantic_grouping {

/// What the backward pass of one image reads and writes. Where it says so, there may be none.
struct BackwardImage {
  Index slots_count, dims;           // K, D
  float sharpness, eps;              // 1 / temperature
  Operand operand;                   // of the products
  cpu::Matrix features;              // [D,N]
  const float* scores;               // [N,K]
  cpu::Matrix slots;                 // [K,D]
  const float* totals;               // [K]
  const float* inverse_norm;         // [N]
  const float* inverse_partition;    // [N]
  const float* prototypes;           // of unit length, by pack_by_dim()
  cpu::Matrix grad_slots;            // [K,D] or none
  cpu::Matrix grad_scores;           // [K,N] of float32 or none
  cpu::MutableMatrix grad_features;  // [D,N] or none
  float* grad_units;                 // [K,D] or null
  bool add_units;                    // to what is there
};

}  // namespace slotcon::kernel::semantic_grouping

#define SLOTCON_SIMD_FILE <slotcon/kernel/semantic_grouping/cpu_backward.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE {

struct BackwardBuffers {
  BackwardBuffers(const BackwardImage& image, Index rows, cpu::Scratch& scratch)
      : stride(round_up(image.slots_count, kTileColumns)),
        dims_stride(round_up(image.dims, kTileColumns)),
        grad_by_slot(
            scratch.take(packed_by_slot_size(image.slots_count, image.dims, image.operand))),
        grad_by_dim(scratch.take(packed_by_dim_size(image.slots_count, image.dims, image.operand))),
        offset(scratch.take(stride)),
        inverse_total(scratch.take(stride)),
        features_left(scratch.take(left_size(image.dims, rows, image.operand))),
        features_right(scratch.take(right_size(rows, image.dims, image.operand))),
        assignments(scratch.take(rows * stride)),
        slopes(scratch.take(rows * stride)),
        grad_scores(scratch.take(rows * kChunk)),
        left(scratch.take(std::max(left_size(kChunk, rows), left_size(rows, kChunk)))),
        grad_features(scratch.take(rows * dims_stride)),
        position_sums(scratch.take(4 * rows)),
        slope_sum(scratch.take(rows)),
        radial(scratch.take(rows)) {}

  Index stride, dims_stride;
  float* grad_by_slot;    // G, packed
  float* grad_by_dim;     // G, packed
  float* offset;          // c_k
  float* inverse_total;   // 1 / R_k
  float* features_left;   // x as left operand of depth D
  float* features_right;  // x as right operand of D columns
  float* assignments;     // [positions][slots]: p, then a / R
  float* slopes;          // [positions][slots]: U, then v / temperature + H, then E / |x|
  float* grad_scores;     // [positions][chunk of slots]: H, where it has to be turned
  float* left;            // a chunk of slots of either as left operand
  float* grad_features;   // [positions][D]
  float* position_sums;   // what first_pass() sums over the slots
  float* slope_sum;       // sum_k v / temperature
  float* radial;          // sum_k E score
};

/// The dot product of row k of two tables of one type. Both are read for the first time here, so
/// that rows are asked for some time before they are needed.
template <Index kBytes>
SLOTCON_SIMD inline float dot_rows(cpu::Matrix a, cpu::Matrix b, Index k, Index dims) {
  constexpr Index kRowsAhead = 6;
  Vector chain[4] = {};
  for (Index first = 0; first < dims; first += 4 * kWidth) {
#pragma GCC unroll 4
    for (Index j = 0; j < 4; ++j) {
      const Index d = first + j * kWidth, lanes = std::clamp<Index>(dims - d, 0, kWidth);
      __builtin_prefetch(a.at(k + kRowsAhead, d));
      __builtin_prefetch(b.at(k + kRowsAhead, d));
      chain[j] = load_first_of<kBytes>(a.at(k, d), a.element, lanes) *
                     load_first_of<kBytes>(b.at(k, d), b.element, lanes) +
                 chain[j];
    }
  }
  return sum((chain[0] + chain[1]) + (chain[2] + chain[3]));
}

/// What all positions of an image share.
SLOTCON_SIMD inline void prepare_image(const BackwardImage& image, const BackwardBuffers& buffers) {
  if (image.grad_slots.data == nullptr) return;
  const Index slots = image.slots_count, dims = image.dims;
  std::fill(buffers.offset, buffers.offset + buffers.stride, 0.0f);
  std::fill(buffers.inverse_total, buffers.inverse_total + buffers.stride, 0.0f);
  const auto dot_of_rows =
      image.slots.element == cpu::Element::kFloat ? &dot_rows<4> : &dot_rows<2>;
  for (Index k = 0; k < slots; ++k) {
    buffers.offset[k] = dot_of_rows(image.grad_slots, image.slots, k, dims);
    buffers.inverse_total[k] = 1.0f / image.totals[k];
  }
  pack_by_slot(image.grad_slots, dims, 0, slots, buffers.grad_by_slot, image.operand);
  pack_by_dim(image.grad_slots, dims, 0, slots, buffers.grad_by_dim, image.operand);
}

/// Rows of floats side by side.
struct Rows {
  const float* data;
  Index stride;

  const float* operator[](Index row) const { return data + row * stride; }
};

/// H of slots k to k + count and positions from `first` on, a row for each position.
SLOTCON_SIMD inline Rows gradient_of_scores(const BackwardImage& image,
                                            const BackwardBuffers& buffers, Index k, Index count,
                                            Index first, Index rows) {
  const auto from = image.grad_scores.from(k, first);
  if (from.row_stride == 1) return {reinterpret_cast<const float*>(from.data), from.column_stride};
  copy(from.transposed(), rows, count, {buffers.grad_scores, kChunk, 1});
  return {buffers.grad_scores, kChunk};
}

/// One chunk of slots of one position on the way to E: U becomes v / temperature + H, and
/// `assignments` p. `sums` collects v, v score, p score and H score. What is beyond `count` counts
/// as 0: there inverse_total is.
template <bool kGradScores>
SLOTCON_SIMD inline void soften(const BackwardImage& image, const BackwardBuffers& buffers,
                                Index chunk, Index count, float inverse_partition,
                                const float* scores, const float* grad_scores, float* assignments,
                                float* slopes, float* sums) {
  const Vector sharpness = broadcast(image.sharpness), scale = broadcast(inverse_partition);
  const float* offset = buffers.offset + chunk;
  const float* inverse_total = buffers.inverse_total + chunk;
  Vector v_sum{}, v_score{}, p_score{}, incoming_score{};
  for (Index k = 0; k < count; k += kWidth) {
    const Index lanes = std::min(kWidth, count - k);
    const Vector score = load_lanes(scores + k, lanes);
    const Vector p = exp_negative(score * sharpness - sharpness) * scale;
    const Vector v = p * load(inverse_total + k) * (load(slopes + k) - load(offset + k));
    v_sum += v;
    v_score = v * score + v_score;
    p_score = p * score + p_score;
    Vector slope = v * sharpness;
    if constexpr (kGradScores) {
      const Vector incoming = load_lanes(grad_scores + k, lanes);
      incoming_score = incoming * score + incoming_score;
      slope += incoming;
    }
    store(assignments + k, p);
    store(slopes + k, slope);
  }
  sums[0] += sum(v_sum);
  sums[1] += sum(v_score);
  sums[2] += sum(p_score);
  sums[3] += sum(incoming_score);
}

/// soften() of all positions of the block.
SLOTCON_SIMD inline void soften_chunk(const BackwardImage& image, const BackwardBuffers& buffers,
                                      Index first, Index rows, Index k, Index count) {
  const bool has_incoming = image.grad_scores.data != nullptr;
  const Rows incoming =
      has_incoming ? gradient_of_scores(image, buffers, k, count, first, rows) : Rows{nullptr, 0};
  for (Index n = 0; n < rows; ++n) {
    const Index place = n * buffers.stride + k;
    const float* scores = image.scores + (first + n) * image.slots_count + k;
    const auto one = has_incoming ? &soften<true> : &soften<false>;
    one(image, buffers, k, count, image.inverse_partition[first + n], scores, incoming[n],
        buffers.assignments + place, buffers.slopes + place, buffers.position_sums + 4 * n);
  }
}

/// U and p of all slots, chunk by chunk, and what has to be summed over all of them.
SLOTCON_SIMD inline void first_pass(const BackwardImage& image, const BackwardBuffers& buffers,
                                    Index first, Index rows) {
  std::fill(buffers.position_sums, buffers.position_sums + 4 * rows, 0.0f);
  for (Index k = 0; k < image.slots_count; k += kChunk) {
    const Index count = std::min(kChunk, image.slots_count - k);
    multiply(buffers.features_left, buffers.grad_by_slot + by_slot(k, image.dims, image.operand),
             rows, round_up(count, kTileColumns), image.dims, buffers.slopes + k, buffers.stride,
             false, image.operand);
    soften_chunk(image, buffers, first, rows, k, count);
  }
  for (Index n = 0; n < rows; ++n) {
    const float* s = buffers.position_sums + 4 * n;
    buffers.slope_sum[n] = s[0] * image.sharpness;
    buffers.radial[n] = (s[1] - s[0] * s[2]) * image.sharpness + s[3];
  }
}

/// E / |x| and a / R of one chunk of slots, in place.
SLOTCON_SIMD inline void second_pass(const BackwardImage& image, const BackwardBuffers& buffers,
                                     Index first, Index rows, Index chunk, Index count) {
  for (Index n = 0; n < rows; ++n) {
    float* assignments = buffers.assignments + n * buffers.stride + chunk;
    float* slopes = buffers.slopes + n * buffers.stride + chunk;
    const Vector slope_sum = broadcast(buffers.slope_sum[n]);
    const Vector inverse_norm = broadcast(image.inverse_norm[first + n]);
    for (Index k = 0; k < count; k += kWidth) {
      const Vector p = load(assignments + k);
      store(slopes + k, (load(slopes + k) - p * slope_sum) * inverse_norm);
      store(assignments + k, (p + image.eps) * load(buffers.inverse_total + chunk + k));
    }
  }
}

/// H / |x| as E / |x| where the slots have no gradient.
SLOTCON_SIMD inline void take_score_gradient(const BackwardImage& image,
                                             const BackwardBuffers& buffers, Index first,
                                             Index rows) {
  std::fill(buffers.radial, buffers.radial + rows, 0.0f);
  for (Index chunk = 0; chunk < image.slots_count; chunk += kChunk) {
    const Index count = std::min(kChunk, image.slots_count - chunk);
    const Rows incoming = gradient_of_scores(image, buffers, chunk, count, first, rows);
    for (Index n = 0; n < rows; ++n) {
      const float* scores = image.scores + (first + n) * image.slots_count + chunk;
      float* slopes = buffers.slopes + n * buffers.stride + chunk;
      for (Index k = 0; k < count; k += kWidth) {
        const Vector value = load_lanes(incoming[n] + k, std::min(kWidth, count - k));
        store(slopes + k, value * image.inverse_norm[first + n]);
      }
      buffers.radial[n] += dot(scores, incoming[n], count);
    }
  }
}

/// One chunk of slots of the gradient of the features, before the part along each feature.
SLOTCON_SIMD inline void pull_features(const BackwardImage& image, const BackwardBuffers& buffers,
                                       Index rows, Index chunk, Index count) {
  const Index dims = buffers.dims_stride, table = by_dim(chunk, image.dims, image.operand);
  const bool from_slots = image.grad_slots.data != nullptr;
  if (from_slots) {
    pack_left({buffers.assignments + chunk, 1, buffers.stride}, count, rows, buffers.left,
              image.operand);
    multiply(buffers.left, buffers.grad_by_dim + table, rows, dims, count, buffers.grad_features,
             dims, chunk > 0, image.operand);
  }
  pack_left({buffers.slopes + chunk, 1, buffers.stride}, count, rows, buffers.left, image.operand);
  multiply(buffers.left, image.prototypes + table, rows, dims, count, buffers.grad_features, dims,
           chunk > 0 || from_slots, image.operand);
}

/// Takes the part along each feature out and writes the gradient of the features.
SLOTCON_SIMD inline void store_features(const BackwardImage& image, const BackwardBuffers& buffers,
                                        Index first, Index rows) {
  const Index levels = packed_depth(rows, image.operand);
  for (Index n = 0; n < rows; ++n) {
    const float inverse_norm = image.inverse_norm[first + n];
    if (norm_is_floor(inverse_norm)) continue;
    const Vector along = broadcast(buffers.radial[n] * inverse_norm * inverse_norm);
    float* row = buffers.grad_features + n * buffers.dims_stride;
    for (Index d = 0; d < buffers.dims_stride; d += kTileColumns) {
      const float* panel = buffers.features_right + d * levels;
      for (Index i = 0; i < kTileColumns; i += kWidth) {
        const Vector x = load_level<kTileColumns>(panel, n, i, image.operand);
        store(row + d + i, load(row + d + i) - along * x);
      }
    }
  }
  copy({buffers.grad_features, 1, buffers.dims_stride}, image.dims, rows,
       image.grad_features.from(0, first));
}

SLOTCON_SIMD inline void backward_block(const BackwardImage& image, const BackwardBuffers& buffers,
                                        Index first, Index rows, bool add_units) {
  const auto features = image.features.from(0, first);
  const bool from_slots = image.grad_slots.data != nullptr;
  pack_right(features.transposed(), rows, image.dims, buffers.features_right, image.operand);
  if (from_slots) {
    pack_left(features, image.dims, rows, buffers.features_left, image.operand);
    first_pass(image, buffers, first, rows);
  } else {
    take_score_gradient(image, buffers, first, rows);
  }
  for (Index k = 0; k < image.slots_count; k += kChunk) {
    const Index count = std::min(kChunk, image.slots_count - k);
    if (from_slots) second_pass(image, buffers, first, rows, k, count);
    if (image.grad_features.data != nullptr) pull_features(image, buffers, rows, k, count);
    if (image.grad_units != nullptr) {
      pack_left({buffers.slopes + k, buffers.stride, 1}, rows, count, buffers.left, image.operand);
      multiply(buffers.left, buffers.features_right, count, image.dims, rows,
               image.grad_units + k * image.dims, image.dims, add_units, image.operand);
    }
  }
  if (image.grad_features.data != nullptr) store_features(image, buffers, first, rows);
}

/// Positions first to last of an image.
SLOTCON_SIMD inline void backward_positions(const BackwardImage& image, Index first, Index last,
                                            cpu::Scratch& scratch) {
  scratch.rewind();
  if (first == last && image.grad_units != nullptr && !image.add_units) {
    std::fill(image.grad_units, image.grad_units + image.slots_count * image.dims, 0.0f);
  }
  const BackwardBuffers buffers(image, std::min(kBlock, last - first), scratch);
  prepare_image(image, buffers);
  for (Index start = first; start < last; start += kBlock) {
    backward_block(image, buffers, start, std::min(kBlock, last - start),
                   image.add_units || start > first);
  }
}

}  // namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE

#endif
