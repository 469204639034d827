// What the host side of the CUDA kernels shares: launches and matrix products on tensors.
//
// None of it insists on a GPU: the tests register emulated kernels and pass tensors of the CPU.
#pragma once

#include <ATen/Context.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <slotcon/kernel/cuda/backend.h>
#include <slotcon/kernel/cuda/mean.h>
#include <torch/types.h>

namespace slotcon::kernel::cuda {

/// The kernels of this program, which has some.
inline const Kernels& kernels() {
  const auto* registered = registered_kernels.load();
  TORCH_INTERNAL_ASSERT(registered != nullptr, "slotcon::cuda is not linked");
  return *registered;
}

inline Scalar scalar_of(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Scalar::kFloat32;
    case at::kBFloat16:
      return Scalar::kBFloat16;
    case at::kHalf:
      return Scalar::kFloat16;
    default:
      TORCH_INTERNAL_ASSERT(false, "no kernel for ", tensor.scalar_type());
  }
}

/// Whether the device of this tensor has the tensor cores that kernels use, and code for them is
/// here. Of a device without them kernels take float32 alone.
inline bool has_tensor_cores(const torch::Tensor& tensor) {
  return kernels().has_tensor_cores(tensor.device().index());
}

/// The arithmetic of LibTorch's own products of such tensors, whose settings hold.
inline Arithmetic arithmetic_of(const torch::Tensor& tensor) {
  switch (scalar_of(tensor)) {
    case Scalar::kBFloat16:
      return Arithmetic::kBFloat16;
    case Scalar::kFloat16:
      return Arithmetic::kFloat16;
    default:
      return has_tensor_cores(tensor) &&
                     at::globalContext().float32Precision(at::Float32Backend::CUDA,
                                                          at::Float32Op::MATMUL) ==
                         at::Float32Precision::TF32
                 ? Arithmetic::kTf32
                 : Arithmetic::kFloat32;
  }
}

/// Launches kernels on the device of a tensor, on its current stream; makes it the current device.
class Launcher {
 public:
  Launcher(const torch::Tensor& tensor, const char* who)
      : guard_(tensor.device()), stream_(stream_of(tensor.device())), who_(who) {}

  /// Throws c10::Error, naming `who`, when CUDA refuses.
  template <class Call>
  void operator()(Error (*launch)(const Call&, Stream), const Call& call) const {
    const Error error = launch(call, stream_);
    TORCH_CHECK(error == nullptr, who_, ": a CUDA kernel could not be launched: ", error);
  }

 private:
  static Stream stream_of(c10::Device device) {
    if (!device.is_cuda()) return nullptr;
    return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
  }

  c10::DeviceGuard guard_;
  Stream stream_;
  const char* who_;
};

/// scale times the mean of `values` [capacity] float32, of the first `count` [1] of them if that is
/// defined; 0-d, and 0 of none.
inline torch::Tensor mean(Error (*launch_mean)(const Mean&, Stream), const Launcher& launch,
                          const torch::Tensor& values, double scale = 1,
                          const torch::Tensor& count = {}) {
  const Index capacity = values.size(0);
  const auto parts = at::empty({(capacity + kNumbersOfPart - 1) / kNumbersOfPart},
                               values.options().dtype(at::kDouble));
  const auto result = at::empty({}, values.options());
  launch(launch_mean, {values.const_data_ptr<float>(), capacity,
                       count.defined() ? count.const_data_ptr<std::int64_t>() : nullptr, scale,
                       parts.data_ptr<double>(), result.data_ptr<float>()});
  return result;
}

/// The matrix product of two matrices or two batches of them, of one type, as numbers of type
/// `type`: that of the operands, or float32, in which the sums are kept.
inline torch::Tensor product(const torch::Tensor& a, const torch::Tensor& b, at::ScalarType type) {
  const bool same = a.scalar_type() == type;
  if (!a.is_cuda()) {  // which knows no float32 product of half types
    return same && type == at::kFloat ? at::matmul(a, b)
                                      : at::matmul(a.to(at::kFloat), b.to(at::kFloat)).to(type);
  }
  if (same) return at::matmul(a, b);
  return a.dim() == 3 ? at::bmm(a, b, type) : at::mm(a, b, type);
}

}  // namespace slotcon::kernel::cuda
