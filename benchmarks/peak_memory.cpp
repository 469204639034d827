#include "benchmarks/peak_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <unordered_map>

namespace bench {
namespace {

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
    current_ = peak_ = 0;
  }

  std::int64_t peak() {
    const std::lock_guard lock(mutex_);
    return peak_;
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
    current_ += static_cast<std::int64_t>(bytes);
    peak_ = std::max(peak_, current_);
  }

  void note_release(void* data) {
    const std::lock_guard lock(mutex_);
    const auto entry = sizes_.find(data);
    if (entry == sizes_.end()) return;
    current_ -= entry->second;
    sizes_.erase(entry);
  }

  std::mutex mutex_;
  std::unordered_map<void*, std::int64_t> sizes_;
  std::int64_t current_ = 0, peak_ = 0;
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

}  // namespace

std::int64_t peak_memory_growth(const std::function<void()>& call) {
  CountingAllocator::instance().restart();
  const Counting scope;
  call();
  return CountingAllocator::instance().peak();
}

}  // namespace bench
