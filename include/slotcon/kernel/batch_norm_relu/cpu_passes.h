// The passes of batch norm, residual and ReLU over maps, block by block of rows.
#pragma once

#include <ATen/Parallel.h>
#include <slotcon/kernel/batch_norm_relu/cpu.h>
#include <slotcon/kernel/cpu/channel_rows.h>
#include <slotcon/kernel/cpu/element_of.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace slotcon::kernel::cpu {

/// The passes over rows, compiled for one instruction set.
struct ChannelRowsCode {
  decltype(&portable::moments<Element::kFloat>) moments;
  decltype(&portable::normalise_relu<Element::kFloat, true>) normalise_relu;
  decltype(&portable::gradient_sums<Element::kFloat, true>) gradient_sums;
  decltype(&portable::normalise_relu_gradient<Element::kFloat, true>) normalise_relu_gradient;

  template <Element kElement, bool kResidual>
  static ChannelRowsCode of() {
    return {SLOTCON_SIMD_SELECT(moments<kElement>),
            SLOTCON_SIMD_SELECT(normalise_relu<kElement, kResidual>),
            SLOTCON_SIMD_SELECT(gradient_sums<kElement, kResidual>),
            SLOTCON_SIMD_SELECT(normalise_relu_gradient<kElement, kResidual>)};
  }
  template <Element kElement>
  static ChannelRowsCode of(bool residual) {
    return residual ? of<kElement, true>() : of<kElement, false>();
  }
  static ChannelRowsCode of(Element element, bool residual) {
    switch (element) {
      case Element::kBFloat16:
        return of<Element::kBFloat16>(residual);
      case Element::kHalf:
        return of<Element::kHalf>(residual);
      case Element::kFloat:
        break;
    }
    return of<Element::kFloat>(residual);
  }
};

}  // namespace slotcon::kernel::cpu

namespace slotcon::kernel::batch_norm_relu {

namespace detail {

using cpu::Index;

/// The rows of maps [N,C,h,w] that are channels last, in blocks that a core's cache holds.
class Rows {
 public:
  explicit Rows(const torch::Tensor& maps)
      : element_(cpu::element_of(maps)),
        channels_(maps.size(1)),
        rows_(maps.numel() / maps.size(1)),
        rows_of_block_(std::max(kLeastRows, kBlock / channels_)) {}

  cpu::ChannelRowsCode code(bool residual) const {
    return cpu::ChannelRowsCode::of(element_, residual);
  }
  Index count() const { return rows_; }
  Index channels() const { return channels_; }
  Index blocks() const { return at::divup(rows_, rows_of_block_); }
  cpu::RowsShape shape(Index block) const {
    return {std::min(rows_of_block_, rows_ - block * rows_of_block_), channels_};
  }

  /// Where a block begins in maps of these sizes; null of no maps.
  void* at(const torch::Tensor& maps, Index block) const {
    if (!maps.defined()) return nullptr;
    auto* const bytes = static_cast<unsigned char*>(maps.data_ptr());
    return bytes + block * rows_of_block_ * channels_ * cpu::size_of(element_);
  }

  /// Calls body(block) for all blocks, shared between the threads.
  template <class Body>
  void for_each_block(const Body& body) const {
    at::parallel_for(0, blocks(), 1, [&](Index begin, Index end) {
      for (Index block = begin; block < end; ++block) body(block);
    });
  }

 private:
  static constexpr Index kBlock = 8192;    // numbers
  static constexpr Index kLeastRows = 32;  // so that sums over a block are far fewer

  cpu::Element element_;
  Index channels_, rows_, rows_of_block_;
};

/// Two numbers of each channel from each block.
class BlockNumbers {
 public:
  explicit BlockNumbers(const Rows& rows)
      : channels_(rows.channels()),
        numbers_(static_cast<std::size_t>(2 * rows.blocks() * rows.channels())) {}

  float* first(Index block) { return numbers_.data() + 2 * block * channels_; }
  float* second(Index block) { return first(block) + channels_; }

 private:
  Index channels_;
  std::vector<float> numbers_;
};

using Channels = std::vector<double>;  // a number of each

inline Channels zeros(const Rows& rows) {
  return Channels(static_cast<std::size_t>(rows.channels()), 0.0);
}

inline torch::Tensor to_tensor(const Channels& numbers) {
  return torch::tensor(numbers, torch::kDouble).to(torch::kFloat);
}

/// Mean and variance (biased) of each channel.
struct BatchMoments {
  Channels mean, variance;
};

/// Those of all rows from those of the blocks, as Chan, Golub and LeVeque (1979) join them.
inline BatchMoments joined(const Rows& rows, BlockNumbers& of_block) {
  BatchMoments moments{zeros(rows), zeros(rows)};
  const auto count = static_cast<double>(rows.count());
  for (Index block = 0; block < rows.blocks(); ++block) {
    const double share = static_cast<double>(rows.shape(block).rows) / count;
    const float* const means = of_block.first(block);
    for (std::size_t c = 0; c < moments.mean.size(); ++c) moments.mean[c] += share * means[c];
  }
  for (Index block = 0; block < rows.blocks(); ++block) {
    const double share = static_cast<double>(rows.shape(block).rows) / count;
    const float* const means = of_block.first(block);
    const float* const squares = of_block.second(block);
    for (std::size_t c = 0; c < moments.mean.size(); ++c) {
      const double distance = means[c] - moments.mean[c];
      moments.variance[c] += squares[c] / count + share * distance * distance;
    }
  }
  return moments;
}

inline BatchMoments moments_of(const torch::Tensor& x, const Rows& rows) {
  const auto code = rows.code(/*residual=*/false);
  BlockNumbers of_block(rows);
  rows.for_each_block([&](Index block) {
    code.moments(rows.at(x, block), rows.shape(block), of_block.first(block),
                 of_block.second(block));
  });
  return joined(rows, of_block);
}

/// running <- (1 - momentum) running + momentum factor batch.
inline void move_running(const torch::Tensor& running, const Channels& batch, double momentum,
                         double factor) {
  auto* const values = running.data_ptr<float>();
  for (std::size_t c = 0; c < batch.size(); ++c) {
    values[c] = static_cast<float>((1 - momentum) * values[c] + momentum * factor * batch[c]);
  }
}

/// weight / deviation [C], the same to the bit in both directions.
inline std::vector<float> scale_of(const torch::Tensor& weight, const Pass& pass) {
  const auto* const weights = weight.const_data_ptr<float>();
  const auto* const inverses = pass.inverse_deviation.const_data_ptr<float>();
  std::vector<float> scale;
  for (Index c = 0; c < weight.numel(); ++c) scale.push_back(weights[c] * inverses[c]);
  return scale;
}

/// Sums of g and of g (x - mean) of each channel; see cpu::ReluGradientRows.
struct GradientSums {
  Channels g, products;
};

inline GradientSums joined_sums(const Rows& rows, BlockNumbers& of_block) {
  GradientSums sums{zeros(rows), zeros(rows)};
  for (Index block = 0; block < rows.blocks(); ++block) {
    const float* const g = of_block.first(block);
    const float* const products = of_block.second(block);
    for (std::size_t c = 0; c < sums.g.size(); ++c) {
      sums.g[c] += g[c];
      sums.products[c] += products[c];
    }
  }
  return sums;
}

/// With z = (x - mean) / deviation: by_x = scale (g - mean(g) - z mean(g z))
///                                       = scale g + slope (x - mean) + offset.
struct GradientLine {
  std::vector<float> slope, offset;

  GradientLine(const std::vector<float>& scale, const Pass& pass, const GradientSums& sums,
               double count) {
    const auto* const inverses = pass.inverse_deviation.const_data_ptr<float>();
    for (std::size_t c = 0; c < scale.size(); ++c) {
      const double share = -scale[c] / count, inverse = inverses[c];
      slope.push_back(static_cast<float>(share * inverse * inverse * sums.products[c]));
      offset.push_back(static_cast<float>(share * sums.g[c]));
    }
  }
};

}  // namespace detail

SLOTCON_CPU_KERNEL Pass cpu_forward(const torch::Tensor& x, const torch::Tensor& residual,
                                    const Norm& norm) {
  const detail::Rows rows(x);
  auto batch = detail::moments_of(x, rows);
  const auto count = static_cast<double>(rows.count());
  detail::move_running(norm.running_mean, batch.mean, norm.momentum, 1);
  detail::move_running(norm.running_var, batch.variance, norm.momentum, count / (count - 1));
  for (double& variance : batch.variance) variance = 1 / std::sqrt(variance + norm.eps);

  const Pass pass{at::empty_like(x), detail::to_tensor(batch.mean),
                  detail::to_tensor(batch.variance)};
  const auto scale = detail::scale_of(norm.weight, pass);
  const auto code = rows.code(residual.defined());
  rows.for_each_block([&](detail::Index block) {
    code.normalise_relu(
        {rows.at(x, block), rows.at(residual, block), rows.at(pass.y, block),
         pass.mean.const_data_ptr<float>(), scale.data(), norm.bias.const_data_ptr<float>()},
        rows.shape(block));
  });
  return pass;
}

SLOTCON_CPU_KERNEL Gradients cpu_backward(const torch::Tensor& by_y, const torch::Tensor& x,
                                          const torch::Tensor& weight, const torch::Tensor& bias,
                                          const Pass& pass) {
  const detail::Rows rows(x);
  const bool residual = pass.y.defined();
  const auto code = rows.code(residual);
  const auto scale = detail::scale_of(weight, pass);
  const torch::Tensor by_x = at::empty_like(x);
  const torch::Tensor g = residual ? at::empty_like(x) : torch::Tensor();
  const auto block_of = [&](detail::Index block, const float* slope, const float* offset) {
    return cpu::ReluGradientRows{rows.at(by_y, block),
                                 rows.at(x, block),
                                 rows.at(pass.y, block),
                                 rows.at(by_x, block),
                                 rows.at(g, block),
                                 pass.mean.const_data_ptr<float>(),
                                 scale.data(),
                                 bias.const_data_ptr<float>(),
                                 slope,
                                 offset};
  };

  detail::BlockNumbers of_block(rows);
  rows.for_each_block([&](detail::Index block) {
    code.gradient_sums(block_of(block, nullptr, nullptr), rows.shape(block), of_block.first(block),
                       of_block.second(block));
  });
  const auto sums = detail::joined_sums(rows, of_block);
  const detail::GradientLine line(scale, pass, sums, static_cast<double>(rows.count()));
  rows.for_each_block([&](detail::Index block) {
    code.normalise_relu_gradient(block_of(block, line.slope.data(), line.offset.data()),
                                 rows.shape(block));
  });
  return {by_x, g, detail::to_tensor(sums.products) * pass.inverse_deviation,
          detail::to_tensor(sums.g)};
}

}  // namespace slotcon::kernel::batch_norm_relu
