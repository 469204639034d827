// Ctrl-C as a wish to stop at the next good moment.
#pragma once

#include <csignal>

namespace examples {

/// The exit status of a program that was interrupted.
constexpr int kInterruptedExit = 130;

namespace detail {
inline volatile std::sig_atomic_t interrupt_count = 0;
}

/// From now on the first SIGINT or SIGTERM is only noted; the second ends the program at once.
inline void note_interrupts() {
  const auto note = [](int signal) {
    detail::interrupt_count = detail::interrupt_count + 1;
    std::signal(signal, SIG_DFL);
  };
  std::signal(SIGINT, note);
  std::signal(SIGTERM, note);
}

inline bool interrupted() { return detail::interrupt_count > 0; }

}  // namespace examples
