// Rows of channels [R,C] of any element: sums over the rows for each channel, and what batch norm
// and an activation make of them in one pass. NaN stays NaN.
#if !defined(SLOTCON_SIMD_NAMESPACE)  // read from outside: compile the rest once for each set

#ifndef SLOTCON_KERNEL_CPU_CHANNEL_ROWS_H
#define SLOTCON_KERNEL_CPU_CHANNEL_ROWS_H
#include <slotcon/kernel/activation.h>
#include <slotcon/kernel/cpu/element.h>
#include <slotcon/kernel/cpu/gelu.h>

namespace slotcon::kernel::cpu {

/// Rows that lie one after the other, of one element type for all rows of a call.
struct RowsShape {
  Index rows, channels;
};

/// The rows of a block of y = activation(u), u = scale (x - mean) + bias.
struct NormRows {
  const void *x;
  const void *residual;  ///< of kAddRelu; else null
  void *y;
  const float *mean, *scale, *bias;  // [C]
};

/// The rows of a block of its gradient. With g = by_y times the activation's derivative:
/// by_x = scale g + slope (x - mean) + offset.
///
/// kAddRelu: from y it knows where the ReLU passed, and the first pass leaves g, the gradient by
/// the residual, for the second. The others make both again from x: that costs less than to keep
/// them.
struct NormGradientRows {
  const void *by_y, *x, *y;
  void *by_x, *g;
  const float *mean, *scale, *bias, *slope, *offset;  // [C]
};

}  // namespace slotcon::kernel::cpu
#define SLOTCON_SIMD_FILE <slotcon/kernel/cpu/channel_rows.h>
#include <slotcon/kernel/cpu/for_each_instruction_set.h>
#endif

#else

namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE {

/// Lanes from element `index` of rows on.
template <Element kElement>
SLOTCON_SIMD_INLINE Vector read(const void* rows, Index index, Index lanes) {
  const auto* const bytes = static_cast<const unsigned char*>(rows);
  return load_elements(bytes + index * size_of(kElement), kElement, lanes);
}
template <Element kElement>
SLOTCON_SIMD_INLINE void write(void* rows, Index index, Vector value, Index lanes) {
  auto* const bytes = static_cast<unsigned char*>(rows);
  store_elements(bytes + index * size_of(kElement), kElement, value, lanes);
}

/// Lanes of u; `distance` is x - mean.
template <class Rows>
SLOTCON_SIMD_INLINE Vector normalised(const Rows& block, Vector distance, Index channel,
                                      Index lanes) {
  return distance * load_lanes(block.scale + channel, lanes) +
         load_lanes(block.bias + channel, lanes);
}

/// Lanes of g, made from by_y.
template <Element kElement, Activation kActivation>
SLOTCON_SIMD_INLINE Vector gradient_made(const NormGradientRows& block, Vector distance,
                                         Index index, Index channel, Index lanes) {
  const Vector by_y = loaded(read<kElement>(block.by_y, index, lanes));
  if constexpr (kActivation == Activation::kAddRelu) {
    return read<kElement>(block.y, index, lanes) <= 0 ? Vector{} : by_y;
  } else {
    const Vector u = normalised(block, distance, channel, lanes);
    if constexpr (kActivation == Activation::kGelu) return by_y * gelu_slope(u);
    return u <= 0 ? Vector{} : by_y;
  }
}

template <Element kElement, Index kVectors>
SLOTCON_SIMD_INLINE void moments_of_channels(const void* x, const RowsShape& shape, Index channel,
                                             Index lanes, float* mean, float* squares) {
  const auto inverse_rows = 1.0f / static_cast<float>(shape.rows);
  Vector center[kVectors] = {}, sum[kVectors] = {}, square[kVectors] = {};
  for (Index r = 0; r < shape.rows; ++r) {
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      center[v] += read<kElement>(x, r * shape.channels + channel + v * kWidth, lanes);
    }
  }
  for (Index v = 0; v < kVectors; ++v) center[v] *= inverse_rows;  // but for rounding
  for (Index r = 0; r < shape.rows; ++r) {
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      const Vector distance =
          read<kElement>(x, r * shape.channels + channel + v * kWidth, lanes) - center[v];
      sum[v] += distance;
      square[v] = distance * distance + square[v];
    }
  }
  for (Index v = 0; v < kVectors; ++v) {
    const Vector offset = sum[v] * inverse_rows;
    store_lanes(mean + channel + v * kWidth, center[v] + offset, lanes);
    store_lanes(squares + channel + v * kWidth, square[v] - offset * sum[v], lanes);
  }
}

/// The mean of each channel over the rows, and the sum of squared distances to it; [C] each.
template <Element kElement>
SLOTCON_SIMD void moments(const void* x, const RowsShape& shape, float* mean, float* squares) {
  Index c = 0;
  for (; c + 4 * kWidth <= shape.channels; c += 4 * kWidth) {
    moments_of_channels<kElement, 4>(x, shape, c, kWidth, mean, squares);
  }
  for (; c < shape.channels; c += kWidth) {
    const Index lanes = shape.channels - c < kWidth ? shape.channels - c : kWidth;
    moments_of_channels<kElement, 1>(x, shape, c, lanes, mean, squares);
  }
}

template <Element kElement, Activation kActivation, Index kVectors>
SLOTCON_SIMD_INLINE void gradient_sums_of_channels(const NormGradientRows& block,
                                                   const RowsShape& shape, Index channel,
                                                   Index lanes, float* sums, float* products) {
  Vector sum[kVectors] = {}, product[kVectors] = {}, middle[kVectors];
  for (Index v = 0; v < kVectors; ++v) {
    middle[v] = load_lanes(block.mean + channel + v * kWidth, lanes);
  }
  for (Index r = 0; r < shape.rows; ++r) {
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      const Index c = channel + v * kWidth, i = r * shape.channels + c;
      const Vector distance = read<kElement>(block.x, i, lanes) - middle[v];
      const Vector g = gradient_made<kElement, kActivation>(block, distance, i, c, lanes);
      if constexpr (kActivation == Activation::kAddRelu) write<kElement>(block.g, i, g, lanes);
      sum[v] += g;
      product[v] = g * distance + product[v];
    }
  }
  for (Index v = 0; v < kVectors; ++v) {
    store_lanes(sums + channel + v * kWidth, sum[v], lanes);
    store_lanes(products + channel + v * kWidth, product[v], lanes);
  }
}

/// The sums of g and of g (x - mean) of each channel over the rows, [C] each; kAddRelu fills
/// the rows of g.
template <Element kElement, Activation kActivation>
SLOTCON_SIMD void gradient_sums(const NormGradientRows block, const RowsShape& shape, float* sums,
                                float* products) {
  Index c = 0;
  for (; c + 4 * kWidth <= shape.channels; c += 4 * kWidth) {
    gradient_sums_of_channels<kElement, kActivation, 4>(block, shape, c, kWidth, sums, products);
  }
  for (; c < shape.channels; c += kWidth) {
    const Index lanes = shape.channels - c < kWidth ? shape.channels - c : kWidth;
    gradient_sums_of_channels<kElement, kActivation, 1>(block, shape, c, lanes, sums, products);
  }
}

template <Element kElement, Activation kActivation>
SLOTCON_SIMD_INLINE void activated_lanes(const NormRows& block, Index index, Index channel,
                                         Index lanes) {
  const Vector distance =
      read<kElement>(block.x, index, lanes) - load_lanes(block.mean + channel, lanes);
  Vector u = normalised(block, distance, channel, lanes);
  if constexpr (kActivation == Activation::kAddRelu) {
    u += read<kElement>(block.residual, index, lanes);
  }
  if constexpr (kActivation == Activation::kGelu) {
    write<kElement>(block.y, index, gelu(u), lanes);
  } else {
    write<kElement>(block.y, index, u < 0 ? Vector{} : u, lanes);
  }
}

/// Fills the rows of y.
template <Element kElement, Activation kActivation>
SLOTCON_SIMD void normalise(const NormRows block, const RowsShape shape) {
  for (Index r = 0; r < shape.rows; ++r) {
    const Index row = r * shape.channels;
    Index c = 0;
    for (; c + kWidth <= shape.channels; c += kWidth) {
      activated_lanes<kElement, kActivation>(block, row + c, c, kWidth);
    }
    if (c < shape.channels) {
      activated_lanes<kElement, kActivation>(block, row + c, c, shape.channels - c);
    }
  }
}

template <Element kElement, Activation kActivation>
SLOTCON_SIMD_INLINE void gradient_lanes(const NormGradientRows& block, Index index, Index channel,
                                        Index lanes) {
  const Vector distance =
      read<kElement>(block.x, index, lanes) - load_lanes(block.mean + channel, lanes);
  Vector g;
  if constexpr (kActivation == Activation::kAddRelu) {
    g = read<kElement>(block.g, index, lanes);
  } else {
    g = gradient_made<kElement, kActivation>(block, distance, index, channel, lanes);
  }
  const Vector by_statistics = load_lanes(block.slope + channel, lanes) * distance +
                               load_lanes(block.offset + channel, lanes);
  write<kElement>(block.by_x, index, load_lanes(block.scale + channel, lanes) * g + by_statistics,
                  lanes);
}

/// Fills the rows of by_x, after gradient_sums().
template <Element kElement, Activation kActivation>
SLOTCON_SIMD void normalise_gradient(const NormGradientRows block, const RowsShape shape) {
  for (Index r = 0; r < shape.rows; ++r) {
    const Index row = r * shape.channels;
    Index c = 0;
    for (; c + kWidth <= shape.channels; c += kWidth) {
      gradient_lanes<kElement, kActivation>(block, row + c, c, kWidth);
    }
    if (c < shape.channels) {
      gradient_lanes<kElement, kActivation>(block, row + c, c, shape.channels - c);
    }
  }
}

}  // namespace slotcon::kernel::cpu::SLOTCON_SIMD_NAMESPACE

#endif
