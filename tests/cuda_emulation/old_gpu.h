// A GPU of before sm_80, as a test wants it.
#pragma once

namespace slotcon::emulation {

/// Whether the emulated GPU has the tensor cores of sm_80 and newer.
inline bool tensor_cores = true;

/// A GPU without them for as long as this lives.
struct WithoutTensorCores {
  WithoutTensorCores() { tensor_cores = false; }
  ~WithoutTensorCores() { tensor_cores = true; }
  WithoutTensorCores(const WithoutTensorCores&) = delete;
  WithoutTensorCores& operator=(const WithoutTensorCores&) = delete;
};

}  // namespace slotcon::emulation
