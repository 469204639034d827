// Working memory of a thread in a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace slotcon::kernel::cpu {

/// Buffers of floats, not initialised and aligned to cache lines, that are used again from task to
/// task: rewind() takes all of them back, and as long as the sizes do not grow take() allocates
/// nothing more.
class Scratch {
 public:
  /// At least `count` floats, valid until the next rewind().
  float* take(std::int64_t count) {
    if (next_ == buffers_.size()) buffers_.emplace_back();
    Buffer& buffer = buffers_[next_++];
    if (!buffer.floats || buffer.size < count) {
      buffer.floats.reset();
      const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
      buffer.floats.reset(static_cast<float*>(::operator new(bytes, kAlignment)));
      buffer.size = count;
    }
    return buffer.floats.get();
  }

  void rewind() { next_ = 0; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(float* floats) const { ::operator delete(floats, kAlignment); }
  };
  struct Buffer {
    std::unique_ptr<float, Delete> floats;
    std::int64_t size = 0;
  };

  std::vector<Buffer> buffers_;
  std::size_t next_ = 0;
};

}  // namespace slotcon::kernel::cpu
