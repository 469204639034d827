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

/// What the backward pass of one image reads and writes. Pointers may be null where it says so.
struct BackwardImage {
  Index slots_count, dims;           // K, D
  float sharpness, eps;              // 1 / temperature
  cpu::Matrix features;              // [D,N]
  cpu::Matrix scores;                // [K,N]
  const float* slots;                // [K,D]
  const float* totals;               // [K]
  const float* inverse_norm;         // [N]
  const float* inverse_partition;    // [N]
  const float* prototypes;           // of unit length, by pack_by_dim()
  const float* grad_slots;           // [K,D] or null
  cpu::Matrix grad_scores;           // [K,N] or null
  cpu::MutableMatrix grad_features;  // [D,N] or null
  float* grad_units;                 // [K,D], to which is added, or null
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
        grad_by_slot(scratch.take(packed_by_slot_size(image.slots_count, image.dims))),
        grad_by_dim(scratch.take(packed_by_dim_size(image.slots_count, image.dims))),
        offset(scratch.take(stride)),
        inverse_total(scratch.take(stride)),
        features_left(scratch.take(left_size(image.dims, rows))),
        features_right(scratch.take(right_size(rows, image.dims))),
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
  float* assignments;     // [positions][slots]: scores, then p, then a / R
  float* slopes;          // [positions][slots]: U, then v / temperature + H, then E / |x|
  float* grad_scores;     // [positions][chunk of slots]: H
  float* left;            // a chunk of slots of either as left operand
  float* grad_features;   // [positions][D]
  float* position_sums;   // what first_pass() sums over the slots
  float* slope_sum;       // sum_k v / temperature
  float* radial;          // sum_k E score
};

/// What all positions of an image share.
SLOTCON_SIMD inline void prepare_image(const BackwardImage& image, const BackwardBuffers& buffers) {
  if (image.grad_slots == nullptr) return;
  const Index slots = image.slots_count, dims = image.dims;
  pack_by_slot(image.grad_slots, dims, 0, slots, buffers.grad_by_slot);
  pack_by_dim(image.grad_slots, dims, 0, slots, buffers.grad_by_dim);
  std::fill(buffers.offset, buffers.offset + buffers.stride, 0.0f);
  std::fill(buffers.inverse_total, buffers.inverse_total + buffers.stride, 0.0f);
  for (Index k = 0; k < slots; ++k) {
    buffers.offset[k] = dot(image.grad_slots + k * dims, image.slots + k * dims, dims);
    buffers.inverse_total[k] = 1.0f / image.totals[k];
  }
}

/// [K,N] from slot k and position n on becomes [positions][slots], zeros up to `padded` slots.
SLOTCON_SIMD inline void load_scores(cpu::Matrix from, Index k, Index n, Index count, Index padded,
                                     Index rows, float* to, Index stride) {
  copy(from.from(k, n).transposed(), rows, count, {to, stride, 1});
  for (Index row = 0; row < rows; ++row) {
    std::fill(to + row * stride + count, to + row * stride + padded, 0.0f);
  }
}

/// One chunk of slots of one position on the way to E: scores become p, U becomes
/// v / temperature + H. `sums` collects v, v score, p score and H score.
template <bool kGradScores>
SLOTCON_SIMD inline void soften(const BackwardImage& image, const BackwardBuffers& buffers,
                                Index chunk, Index count, float inverse_partition,
                                float* assignments, float* slopes, const float* grad_scores,
                                float* sums) {
  const Vector sharpness = broadcast(image.sharpness), scale = broadcast(inverse_partition);
  const float* offset = buffers.offset + chunk;
  const float* inverse_total = buffers.inverse_total + chunk;
  Vector v_sum{}, v_score{}, p_score{}, incoming_score{};
  for (Index k = 0; k < count; k += kWidth) {
    const Vector score = load(assignments + k);
    const Vector p = exp_negative(score * sharpness - sharpness) * scale;
    const Vector v = p * load(inverse_total + k) * (load(slopes + k) - load(offset + k));
    v_sum += v;
    v_score = v * score + v_score;
    p_score = p * score + p_score;
    Vector slope = v * sharpness;
    if constexpr (kGradScores) {
      const Vector incoming = load(grad_scores + k);
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

/// U and the scores of all slots, chunk by chunk, and what has to be summed over all of them.
SLOTCON_SIMD inline void first_pass(const BackwardImage& image, const BackwardBuffers& buffers,
                                    Index first, Index rows) {
  float* position_sums = buffers.position_sums;
  std::fill(position_sums, position_sums + 4 * rows, 0.0f);
  const bool grad_scores = image.grad_scores.data != nullptr;
  for (Index k = 0; k < image.slots_count; k += kChunk) {
    const Index count = std::min(kChunk, image.slots_count - k);
    const Index padded = round_up(count, kTileColumns);
    load_scores(image.scores, k, first, count, padded, rows, buffers.assignments + k,
                buffers.stride);
    if (grad_scores) {
      load_scores(image.grad_scores, k, first, count, padded, rows, buffers.grad_scores, kChunk);
    }
    multiply(buffers.features_left, buffers.grad_by_slot + k * image.dims, rows, padded, image.dims,
             buffers.slopes + k, buffers.stride, false);
    for (Index n = 0; n < rows; ++n) {
      float* sums = position_sums + 4 * n;
      float* assignments = buffers.assignments + n * buffers.stride + k;
      float* slopes = buffers.slopes + n * buffers.stride + k;
      const float* incoming = buffers.grad_scores + n * kChunk;
      const float inverse = image.inverse_partition[first + n];
      if (grad_scores) {
        soften<true>(image, buffers, k, padded, inverse, assignments, slopes, incoming, sums);
      } else {
        soften<false>(image, buffers, k, padded, inverse, assignments, slopes, incoming, sums);
      }
    }
  }
  for (Index n = 0; n < rows; ++n) {
    const float* s = position_sums + 4 * n;
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
  const Index slots = image.slots_count, stride = buffers.stride;
  load_scores(image.scores, 0, first, slots, stride, rows, buffers.assignments, stride);
  load_scores(image.grad_scores, 0, first, slots, stride, rows, buffers.slopes, stride);
  for (Index n = 0; n < rows; ++n) {
    const float* scores = buffers.assignments + n * stride;
    float* slopes = buffers.slopes + n * stride;
    buffers.radial[n] = dot(scores, slopes, stride);
    for (Index k = 0; k < stride; k += kWidth) {
      store(slopes + k, load(slopes + k) * image.inverse_norm[first + n]);
    }
  }
}

/// One chunk of slots of the gradient of the features, before the part along each feature.
SLOTCON_SIMD inline void pull_features(const BackwardImage& image, const BackwardBuffers& buffers,
                                       Index rows, Index chunk, Index count) {
  const Index dims = buffers.dims_stride;
  if (image.grad_slots != nullptr) {
    pack_left({buffers.assignments + chunk, 1, buffers.stride}, count, rows, buffers.left);
    multiply(buffers.left, buffers.grad_by_dim + chunk * dims, rows, dims, count,
             buffers.grad_features, dims, chunk > 0);
  }
  pack_left({buffers.slopes + chunk, 1, buffers.stride}, count, rows, buffers.left);
  multiply(buffers.left, image.prototypes + chunk * dims, rows, dims, count, buffers.grad_features,
           dims, chunk > 0 || image.grad_slots != nullptr);
}

/// Takes the part along each feature out and writes the gradient of the features.
SLOTCON_SIMD inline void store_features(const BackwardImage& image, const BackwardBuffers& buffers,
                                        Index first, Index rows) {
  for (Index n = 0; n < rows; ++n) {
    const float inverse_norm = image.inverse_norm[first + n];
    if (norm_is_floor(inverse_norm)) continue;
    const Vector along = broadcast(buffers.radial[n] * inverse_norm * inverse_norm);
    float* row = buffers.grad_features + n * buffers.dims_stride;
    for (Index d = 0; d < buffers.dims_stride; d += kTileColumns) {
      const float* x = buffers.features_right + d * rows + n * kTileColumns;
      for (Index i = 0; i < kTileColumns; i += kWidth) {
        store(row + d + i, load(row + d + i) - along * load(x + i));
      }
    }
  }
  copy({buffers.grad_features, 1, buffers.dims_stride}, image.dims, rows,
       image.grad_features.from(0, first));
}

SLOTCON_SIMD inline void backward_block(const BackwardImage& image, const BackwardBuffers& buffers,
                                        Index first, Index rows) {
  const auto features = image.features.from(0, first);
  pack_right(features.transposed(), rows, image.dims, buffers.features_right);
  if (image.grad_slots != nullptr) {
    pack_left(features, image.dims, rows, buffers.features_left);
    first_pass(image, buffers, first, rows);
  } else {
    take_score_gradient(image, buffers, first, rows);
  }
  for (Index k = 0; k < image.slots_count; k += kChunk) {
    const Index count = std::min(kChunk, image.slots_count - k);
    if (image.grad_slots != nullptr) {
      second_pass(image, buffers, first, rows, k, round_up(count, kTileColumns));
    }
    if (image.grad_features.data != nullptr) pull_features(image, buffers, rows, k, count);
    if (image.grad_units != nullptr) {
      pack_left({buffers.slopes + k, buffers.stride, 1}, rows, count, buffers.left);
      multiply(buffers.left, buffers.features_right, count, image.dims, rows,
               image.grad_units + k * image.dims, image.dims, true);
    }
  }
  if (image.grad_features.data != nullptr) store_features(image, buffers, first, rows);
}

/// Positions first to last of an image.
SLOTCON_SIMD inline void backward_positions(const BackwardImage& image, Index first, Index last,
                                            cpu::Scratch& scratch) {
  scratch.rewind();
  const BackwardBuffers buffers(image, std::min(kBlock, last - first), scratch);
  prepare_image(image, buffers);
  for (Index start = first; start < last; start += kBlock) {
    backward_block(image, buffers, start, std::min(kBlock, last - start));
  }
}

}  // namespace slotcon::kernel::semantic_grouping::SLOTCON_SIMD_NAMESPACE

#endif
