// Shared memory, bounds, vector loads and copies that run beside the kernel.
#pragma once

#include <slotcon/kernel/cuda/types.h>

#include <slotcon/kernel/cuda/vector.cuh>
#include <utility>

#include "block.h"

namespace slotcon::emulation {

using kernel::cuda::Vector;

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(Block::current()->shared());
}

/// Where a bug is planted, the last one is forgotten or one more is let in.
template <class Number>
bool inside(Number index, Number size, const char* file = __builtin_FILE(),
            int line = __builtin_LINE()) {
  const int off_by = broken_at({"inside", file, line}) ? settings().off_by : 0;
  return index < static_cast<Number>(size + static_cast<Number>(off_by));
}

inline void require_alignment(const void* address, std::size_t bytes, const char* otherwise) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) Block::current()->fail(otherwise);
}

template <int kWidth, class T>
Vector<T, kWidth> load(const T* from) {
  Vector<T, kWidth> vector;
  require_alignment(from, sizeof vector, "load: the address is not a multiple of the vector");
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <int kWidth, class T>
void store(T* to, const Vector<T, kWidth>& vector) {
  require_alignment(to, sizeof vector, "store: the address is not a multiple of the vector");
  std::memcpy(to, &vector, sizeof vector);
}

// A copy is made when it is waited for and not before: who reads too early finds poison.

template <int kBytes>
void copy_async(void* shared, const void* global, bool valid) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  for (const void* address : {static_cast<const void*>(shared), global}) {
    require_alignment(address, kBytes, "copy_async: an address is not a multiple of the copy");
  }
  Block& block = *Block::current();
  if (!block.in_shared(shared, kBytes)) block.fail("copy_async: not to shared memory");
  block.thread().copies.push_back({shared, global, kBytes, valid});
}

inline void commit_copies() {
  Thread& thread = Block::current()->thread();
  thread.committed.push_back(std::exchange(thread.copies, {}));
}

template <int kPending>
void wait_copies(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (broken_at({"wait_copies", file, line})) return;
  auto& groups = Block::current()->thread().committed;
  for (; groups.size() > kPending; groups.pop_front()) {
    for (const auto& copy : groups.front()) {
      if (copy.valid) {
        std::memcpy(copy.to, copy.from, copy.bytes);
      } else {
        std::memset(copy.to, 0, copy.bytes);
      }
    }
  }
}

}  // namespace slotcon::emulation
