// How much memory a call needs.
#pragma once

#include <cstdint>
#include <functional>

namespace bench {

/// How far `call` raises the bytes that LibTorch's CPU allocator has handed out, at the highest
/// point: results and gradients included, what the call frees before it ends too.
///
/// Counts on all threads. Not counted: what bypasses the allocator (MKL's and oneDNN's own
/// buffers, std containers).
std::int64_t peak_memory_growth(const std::function<void()>& call);

}  // namespace bench
