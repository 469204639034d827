// A thread of control with a stack of its own, that runs until it gives way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SLOTCON_EMULATION_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOTCON_EMULATION_ASAN 1
#endif
#endif
#if defined(SLOTCON_EMULATION_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace slotcon::emulation {

#if defined(__x86_64__)
/// Keeps the registers that a function must preserve on the stack, and the stack in *from; goes on
/// where `to` was left. (ucontext would do the same with a system call: six times slower.)
__attribute__((naked, noinline)) inline void switch_stack(void** /*from*/, void* /*to*/) {
  __asm__ volatile(
      "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret");
}
#endif

class Fiber {
 public:
  static constexpr std::size_t kStack = 128 * 1024;

  Fiber() {
    if (spare_stacks().empty()) {
      stack_.reset(new unsigned char[kStack]);
    } else {
      stack_ = std::move(spare_stacks().back());
      spare_stacks().pop_back();
    }
    unpoison(kStack);
  }
  ~Fiber() {
    if (stack_) spare_stacks().push_back(std::move(stack_));
  }
  Fiber(Fiber&&) = default;
  Fiber& operator=(Fiber&&) = delete;

  /// The next resume() calls `entry`, which may not return.
  void start(void (*entry)()) {
    constexpr std::size_t kFrameOfEntry = 4096;
    unpoison(kFrameOfEntry);
#if defined(SLOTCON_EMULATION_ASAN)
    fake_stack_ = nullptr;
#endif
#if defined(__x86_64__)
    auto** top = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(stack_.get() + kStack) &
                                          ~std::uintptr_t{63});
    *--top = nullptr;  // where a caller would be
    *--top = reinterpret_cast<void*>(entry);
    for (int preserved = 0; preserved < 6; ++preserved) *--top = nullptr;
    position_ = top;
#else
    getcontext(&position_);
    position_.uc_stack.ss_sp = stack_.get();
    position_.uc_stack.ss_size = kStack;
    position_.uc_link = nullptr;
    makecontext(&position_, entry, 0);
#endif
  }

  /// From the scheduler: runs until pause().
  void resume() {
#if defined(SLOTCON_EMULATION_ASAN)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_.get(), kStack);
#endif
#if defined(__x86_64__)
    switch_stack(&scheduler_, position_);
#else
    swapcontext(&scheduler_, &position_);
#endif
#if defined(SLOTCON_EMULATION_ASAN)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }

  /// From the fiber: back to the scheduler. After the `last` one it is not resumed.
  void pause(bool last) {
#if defined(SLOTCON_EMULATION_ASAN)
    __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, scheduler_stack_,
                                   scheduler_stack_size_);
#else
    static_cast<void>(last);
#endif
#if defined(__x86_64__)
    switch_stack(&position_, scheduler_);
#else
    swapcontext(&position_, &scheduler_);
#endif
    entered();
  }

  /// From the fiber: to be called first in `entry`.
  void entered() {
#if defined(SLOTCON_EMULATION_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack_, &scheduler_stack_, &scheduler_stack_size_);
#endif
  }

 private:
  using Stack = std::unique_ptr<unsigned char[]>;

  static std::vector<Stack>& spare_stacks() {
    static std::vector<Stack> stacks;
    return stacks;
  }

  /// Frames that were left and not returned from keep the end of the stack out of bounds for
  /// AddressSanitizer; the stack is used anew.
  void unpoison(std::size_t end) {
#if defined(SLOTCON_EMULATION_ASAN)
    __asan_unpoison_memory_region(stack_.get() + kStack - end, end);
#else
    static_cast<void>(end);
#endif
  }

  Stack stack_;
#if defined(__x86_64__)
  void* position_ = nullptr;
  void* scheduler_ = nullptr;
#else
  ucontext_t position_, scheduler_;
#endif
#if defined(SLOTCON_EMULATION_ASAN)
  void* fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_size_ = 0;
#endif
};

}  // namespace slotcon::emulation
