// How much memory a call needs, by LibTorch's CPU allocator.
#pragma once

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace slotcon::testing {

/// Bytes beyond those that were allocated before.
struct MemoryGrowth {
  std::int64_t peak;  ///< at the highest point
  std::int64_t kept;  ///< in the end
};

namespace detail {

/// The default allocator, counted. Memory may be freed after the allocator was taken out again.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* data = c10::alloc_cpu(bytes);
    note_allocation(data, bytes);
    return {data, data, &CountingAllocator::free, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &CountingAllocator::free; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  /// Forgets everything, also what is still allocated: it counts neither now nor when it is freed.
  void restart() {
    const std::lock_guard lock(mutex_);
    sizes_.clear();
    growth_ = {};
  }

  MemoryGrowth growth() {
    const std::lock_guard lock(mutex_);
    return growth_;
  }

  static CountingAllocator& instance() {
    static auto* allocator = new CountingAllocator;  // outlives every tensor
    return *allocator;
  }

 private:
  static void free(void* data) {
    instance().note_release(data);
    c10::free_cpu(data);
  }

  void note_allocation(void* data, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    sizes_[data] = static_cast<std::int64_t>(bytes);
    growth_.kept += static_cast<std::int64_t>(bytes);
    growth_.peak = std::max(growth_.peak, growth_.kept);
  }

  void note_release(void* data) {
    const std::lock_guard lock(mutex_);
    const auto entry = sizes_.find(data);
    if (entry == sizes_.end()) return;
    growth_.kept -= entry->second;
    sizes_.erase(entry);
  }

  std::mutex mutex_;
  std::unordered_map<void*, std::int64_t> sizes_;
  MemoryGrowth growth_{};
};

/// Allocations are counted in this scope.
class Counting {
 public:
  Counting() { c10::SetCPUAllocator(&CountingAllocator::instance()); }
  ~Counting() { c10::SetCPUAllocator(usual_); }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  c10::Allocator* usual_ = c10::GetCPUAllocator();
};

}  // namespace detail

/// How far `call` raises the bytes that LibTorch's CPU allocator has handed out, results and
/// gradients included, what the call frees before it ends too.
///
/// Counts on all threads. Not counted: what bypasses the allocator (MKL's and oneDNN's own
/// buffers, std containers).
template <class Call>
MemoryGrowth memory_growth(const Call& call) {
  detail::CountingAllocator::instance().restart();
  const detail::Counting scope;
  call();
  return detail::CountingAllocator::instance().growth();
}

}  // namespace slotcon::testing
