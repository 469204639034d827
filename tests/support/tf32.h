// Whether LibTorch may multiply float32 matrices on a GPU in TF32.
#pragma once

#include <ATen/Context.h>

namespace slotcon::testing {

/// Allows TF32 for the life of the object, or forbids it. By the one call that keeps LibTorch's old
/// and new settings alike: where they differ, it refuses to multiply.
class Tf32Allowed {
 public:
  explicit Tf32Allowed(bool allowed) { at::globalContext().setAllowTF32CuBLAS(allowed); }
  ~Tf32Allowed() { at::globalContext().setAllowTF32CuBLAS(before_); }
  Tf32Allowed(const Tf32Allowed&) = delete;
  Tf32Allowed& operator=(const Tf32Allowed&) = delete;

 private:
  const bool before_ =
      at::globalContext().float32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL) ==
      at::Float32Precision::TF32;
};

}  // namespace slotcon::testing
