// The passes of batch norm and an activation over maps, block by block of rows.
#pragma once

#include <slotcon/kernel/batch_norm/cpu.h>
#include <slotcon/kernel/batch_norm/cpu_rows.h>
#include <torch/types.h>

#include <cmath>
#include <vector>

namespace slotcon::kernel::batch_norm {

namespace detail {

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

/// Those of all rows from those of the parts, as Chan, Golub and LeVeque (1979) join them.
inline BatchMoments joined(const Rows& rows, PartNumbers& of_part) {
  BatchMoments moments{zeros(rows), zeros(rows)};
  for (Index part = 0; part < rows.parts(); ++part) {
    const double share = rows.rows_of_part(part) / rows.count();
    const float* const means = of_part.first_of_part(part);
    for (std::size_t c = 0; c < moments.mean.size(); ++c) moments.mean[c] += share * means[c];
  }
  const double one = 1 / rows.count();  // the share of one value
  for (Index part = 0; part < rows.parts(); ++part) {
    const double share = rows.rows_of_part(part) * one;
    const float* const means = of_part.first_of_part(part);
    const float* const squares = of_part.second_of_part(part);
    for (std::size_t c = 0; c < moments.mean.size(); ++c) {
      const double distance = means[c] - moments.mean[c];
      moments.variance[c] += one * squares[c] + share * distance * distance;
    }
  }
  return moments;
}

inline BatchMoments moments_of(const torch::Tensor& x, const Rows& rows) {
  const auto code = rows.code(Activation::kRelu);
  PartNumbers of_part(rows);
  rows.for_each_block([&](Index block) {
    code.moments(rows.at(x, block), rows.shape(block), of_part.first(block), of_part.second(block));
  });
  return joined(rows, of_part);
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

/// Sums of g and of g (x - mean) of each channel; see cpu::NormGradientRows.
struct GradientSums {
  Channels g, products;
};

inline GradientSums joined_sums(const Rows& rows, PartNumbers& of_part) {
  GradientSums sums{zeros(rows), zeros(rows)};
  for (Index part = 0; part < rows.parts(); ++part) {
    const float* const g = of_part.first_of_part(part);
    const float* const products = of_part.second_of_part(part);
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
                                    const Norm& norm, Activation activation) {
  const detail::Rows rows(x);
  auto batch = detail::moments_of(x, rows);
  const auto count = rows.count();
  detail::move_running(norm.running_mean, batch.mean, norm.momentum, 1);
  detail::move_running(norm.running_var, batch.variance, norm.momentum, count / (count - 1));
  for (double& variance : batch.variance) variance = 1 / std::sqrt(variance + norm.eps);

  const Pass pass{at::empty_like(x), detail::to_tensor(batch.mean),
                  detail::to_tensor(batch.variance)};
  const detail::RowNumbers mean(rows, pass.mean), bias(rows, norm.bias);
  const detail::RowNumbers scale(rows, detail::scale_of(norm.weight, pass).data());
  const auto code = rows.code(activation);
  rows.for_each_block([&](detail::Index block) {
    code.normalise({rows.at(x, block), rows.at(residual, block), rows.at(pass.y, block),
                    mean.data(), scale.data(), bias.data()},
                   rows.shape(block));
  });
  return pass;
}

SLOTCON_CPU_KERNEL Gradients cpu_backward(const torch::Tensor& by_y, const torch::Tensor& x,
                                          const torch::Tensor& weight, const torch::Tensor& bias,
                                          const Pass& pass, Activation activation) {
  const detail::Rows rows(x);
  const auto code = rows.code(activation);
  const auto scale = detail::scale_of(weight, pass);
  const torch::Tensor by_x = at::empty_like(x);
  const bool keeps_g = activation == Activation::kAddRelu;
  const torch::Tensor g = keeps_g ? at::empty_like(x) : torch::Tensor();

  const detail::RowNumbers means(rows, pass.mean), scales(rows, scale.data()), biases(rows, bias);
  const auto block_of = [&](detail::Index block, const float* slopes, const float* offsets) {
    return cpu::NormGradientRows{rows.at(by_y, block),
                                 rows.at(x, block),
                                 rows.at(pass.y, block),
                                 rows.at(by_x, block),
                                 rows.at(g, block),
                                 means.data(),
                                 scales.data(),
                                 biases.data(),
                                 slopes,
                                 offsets};
  };

  detail::PartNumbers of_part(rows);
  rows.for_each_block([&](detail::Index block) {
    code.gradient_sums(block_of(block, nullptr, nullptr), rows.shape(block), of_part.first(block),
                       of_part.second(block));
  });
  const auto sums = detail::joined_sums(rows, of_part);
  const detail::GradientLine line(scale, pass, sums, rows.count());
  const detail::RowNumbers slopes(rows, line.slope.data()), offsets(rows, line.offset.data());
  rows.for_each_block([&](detail::Index block) {
    code.normalise_gradient(block_of(block, slopes.data(), offsets.data()), rows.shape(block));
  });
  return {by_x, g, detail::to_tensor(sums.products) * pass.inverse_deviation,
          detail::to_tensor(sums.g)};
}

}  // namespace slotcon::kernel::batch_norm
