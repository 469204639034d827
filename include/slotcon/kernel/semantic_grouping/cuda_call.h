// One call of the CUDA kernels of semantic grouping: its sizes, its numbers, and the tensors it
// allocates.
#pragma once

#include <ATen/ops/constant_pad_nd.h>
#include <slotcon/core/precision.h>
#include <slotcon/kernel/cuda/launcher.h>
#include <slotcon/kernel/semantic_grouping/pass.h>
#include <torch/types.h>

#include <cstdint>

namespace slotcon::kernel::semantic_grouping::detail {

class CudaCall {
 public:
  CudaCall(const torch::Tensor& features, const torch::Tensor& prototypes, double temperature,
           double added)
      : images(features.size(0)),
        dims(features.size(1)),
        positions(features.size(2)),
        slots(prototypes.size(0)),
        sharpness(static_cast<float>(1 / temperature)),
        eps(static_cast<float>(added)),
        scalar(cuda::scalar_of(features)),
        type(features.scalar_type()),
        launches(cuda::kernels().semantic_grouping),
        launch(features, "semantic_grouping"),
        options_(features.options()) {}

  torch::Tensor floats(at::IntArrayRef sizes) const {
    return at::empty(sizes, options_.dtype(at::kFloat));
  }
  torch::Tensor numbers(at::IntArrayRef sizes) const { return at::empty(sizes, options_); }

  /// Features as [B,N,D], dense; where `inverse_norm` is given, [B,N], it is filled.
  torch::Tensor rows(const torch::Tensor& features, float* inverse_norm) const {
    const auto given = features.transpose(1, 2);
    return given.is_contiguous() ? as_they_are(given, inverse_norm)
                                 : copied(features, inverse_norm, dims);
  }

  /// The same as [B,N,length], with zeros at the ends of rows, that is_padded().
  torch::Tensor padded_rows(const torch::Tensor& features, float* inverse_norm) const {
    const auto given = features.transpose(1, 2);
    return is_padded(given) ? as_they_are(given, inverse_norm)
                            : copied(features, inverse_norm, padded_length(dims));
  }

  /// Rows [...,D] at unit length, of the features' type, as [...,length].
  torch::Tensor units(const torch::Tensor& rows, Index length) const {
    auto sizes = rows.sizes().vec();
    sizes.back() = length;
    auto result = numbers(sizes);
    unit_rows(rows, length, result.data_ptr(), nullptr);
    return result;
  }
  torch::Tensor units(const torch::Tensor& rows) const { return units(rows, rows.size(-1)); }

  /// `count`, or a few more, so that as many numbers of any type are a multiple of 16 bytes.
  static Index padded_length(Index count) {
    constexpr Index kNumbers = 8;
    return (count + kNumbers - 1) / kNumbers * kNumbers;
  }

  /// Whether kernels can copy the rows by pieces of 16 bytes.
  static bool is_padded(const torch::Tensor& rows) {
    return rows.is_contiguous() && rows.size(-1) == padded_length(rows.size(-1)) &&
           reinterpret_cast<std::uintptr_t>(rows.const_data_ptr()) % 16 == 0;
  }

  /// The rows, or a copy that is_padded(), with zeros at the ends of its rows.
  static torch::Tensor padded(const torch::Tensor& rows) {
    if (is_padded(rows)) return rows;
    const Index count = rows.size(-1);
    return at::constant_pad_nd(rows, {0, padded_length(count) - count});
  }

  static Strides strides_of(const torch::Tensor& features) {
    return {features.stride(0), features.stride(1), features.stride(2)};
  }

  const Index images, dims, positions, slots;
  const float sharpness, eps;
  const cuda::Scalar scalar;
  const at::ScalarType type;
  const Launches& launches;
  const cuda::Launcher launch;

 private:
  torch::Tensor as_they_are(const torch::Tensor& rows, float* inverse_norm) const {
    if (inverse_norm != nullptr) unit_rows(rows, dims, nullptr, inverse_norm);
    return rows;
  }

  torch::Tensor copied(const torch::Tensor& features, float* inverse_norm, Index length) const {
    auto result = numbers({images, positions, length});
    launch(launches.rows, {scalar, images, dims, positions, length, features.const_data_ptr(),
                           strides_of(features), result.data_ptr(), inverse_norm});
    return result;
  }

  void unit_rows(const torch::Tensor& rows, Index length, void* units, float* inverse_norm) const {
    const Index own_dims = rows.size(-1);
    launch(launches.unit_rows, {cuda::scalar_of(rows), scalar, rows.numel() / own_dims, own_dims,
                                length, rows.const_data_ptr(), units, inverse_norm});
  }

  const AutocastOff precise_;
  const torch::TensorOptions options_;
};

}  // namespace slotcon::kernel::semantic_grouping::detail
