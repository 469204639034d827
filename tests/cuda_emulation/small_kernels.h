// What the tests of the emulation share.
#pragma once

#include <cstddef>
#include <slotcon/kernel/cuda/warp.cuh>
#include <string>
#include <vector>

#include "tests/cuda_emulation/schedules.h"

namespace slotcon::emulation {

/// The text of the error that the kernel ends with; "" if it does not.
template <class... Parameters, class... Arguments>
std::string error_of(int threads, std::size_t shared_bytes, void (*kernel)(Parameters...),
                     const Arguments&... arguments) {
  try {
    kernel::cuda::launch(kernel, 1, threads, shared_bytes, nullptr, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline std::vector<float> up_to(int count) {
  std::vector<float> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(static_cast<float>(i));
  return numbers;
}

}  // namespace slotcon::emulation
