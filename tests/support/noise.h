// Random numbers for tests.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <cstdint>

namespace slotcon::testing {

/// Standard normal float64 numbers that depend on the seed alone.
inline torch::Tensor noise(at::IntArrayRef sizes, std::uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), torch::kDouble);
}

/// The same in float32.
inline torch::Tensor floats(at::IntArrayRef sizes, std::uint64_t seed) {
  return noise(sizes, seed).to(torch::kFloat);
}

}  // namespace slotcon::testing
