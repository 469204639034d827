// Starts a program as several processes on this machine, which can join as a group. On POSIX
// systems.
#pragma once

#include <slotcon/train/process_environment.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#ifdef __linux__
#include <sys/prctl.h>
#endif

extern char** environ;  // NOLINT: POSIX has it in no header

namespace slotcon {

/// How processes that were started together ended.
struct LocalRun {
  int status = 0;  ///< of the first that failed, as a shell has it: 128 + N by signal N; else 0
  std::string failure;  ///< which failed first, and how; empty if none did
};

namespace detail {

/// This process' environment with some variables ("NAME=value") set anew.
inline std::vector<std::string> environment_with(std::vector<std::string> variables) {
  const auto set = variables.size();
  for (char** inherited = environ; *inherited != nullptr; ++inherited) {
    const auto is_of_name = [&](const std::string& variable) {
      return std::strncmp(*inherited, variable.c_str(), variable.find('=') + 1) == 0;
    };
    if (std::none_of(variables.begin(), variables.begin() + static_cast<std::ptrdiff_t>(set),
                     is_of_name)) {
      variables.emplace_back(*inherited);
    }
  }
  return variables;
}

/// Child processes, in a process group of their own; what is left of them dies with the object.
class Children {
 public:
  struct Ended {
    std::size_t child;  // in the order of their start
    int status;         // as waitpid has it
  };

  Children() = default;
  ~Children() {
    send(SIGKILL);
    while (take_ended(0)) continue;
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  /// Runs `arguments[0]`, found as a shell would. Throws std::system_error if no process is left.
  void start(char* const* arguments, std::vector<std::string> environment) {
    std::vector<char*> pointers;
    for (auto& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    const auto parent = getpid();
    const auto child = fork();
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) become(arguments, pointers.data(), parent);
    if (group_ == 0) group_ = child;
    setpgid(child, group_);  // as the child does: whoever is first
    children_.push_back(child);
    ++running_;
  }

  /// One that has ended; nothing while all run (with WNOHANG) or when none is left.
  std::optional<Ended> take_ended(int options) {
    int status = 0;
    const auto ended = running_ == 0 ? 0 : waitpid(-group_, &status, options);
    if (ended <= 0) return std::nullopt;
    --running_;
    const auto place = std::find(children_.begin(), children_.end(), ended);
    return Ended{static_cast<std::size_t>(place - children_.begin()), status};
  }

  void send(int signal) const {
    if (running_ > 0) kill(-group_, signal);
  }

  bool any_left() const { return running_ > 0; }

 private:
  /// In the child: nothing but calls that are safe between fork and exec.
  [[noreturn]] void become(char* const* arguments, char** environment, pid_t parent) const {
    setpgid(0, group_);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // when the parent dies, however that is
    if (getppid() != parent) _exit(1);
#else
    static_cast<void>(parent);
#endif
    environ = environment;
    execvp(arguments[0], arguments);
    _exit(127);
  }

  std::vector<pid_t> children_;
  std::size_t running_ = 0;
  pid_t group_ = 0;  // its first process' number
};

/// SIGINT and SIGTERM are noted, not followed, while the object lives.
class NotedSignals {
 public:
  NotedSignals() {
    struct sigaction note = {};
    note.sa_handler = [](int signal) { noted_ = signal; };
    sigaction(SIGINT, &note, &interrupt_);
    sigaction(SIGTERM, &note, &terminate_);
  }
  ~NotedSignals() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
  }
  NotedSignals(const NotedSignals&) = delete;
  NotedSignals& operator=(const NotedSignals&) = delete;

  /// The signal that has come since the last call; 0 if none.
  static int take() {
    const int signal = noted_;
    noted_ = 0;
    return signal;
  }

 private:
  static inline volatile std::sig_atomic_t noted_ = 0;
  struct sigaction interrupt_ = {}, terminate_ = {};
};

/// What `failures`, in their order, say of a run of `count` processes.
inline LocalRun failed_run(const std::vector<Children::Ended>& failures, int count) {
  LocalRun run;
  for (const auto& [child, status] : failures) {
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const int code = signal != 0 ? 128 + signal : WEXITSTATUS(status);
    if (run.status == 0) run.status = code;
    run.failure += run.failure.empty() ? "of " + std::to_string(count) + " processes " : ", ";
    run.failure += std::to_string(child) + " ended ";
    run.failure += signal != 0
                       ? "by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")"
                       : "with status " + std::to_string(code);
  }
  return run;
}

/// Waits for all. Signals are passed on. A failure that none explains ends all: they have a moment
/// to notice for themselves, are then asked to end, and killed in the end.
inline LocalRun wait_for(Children& children, int count) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kPause(10);
  constexpr std::chrono::seconds kTimeToNotice(1), kTimeToEnd(10);
  std::vector<Children::Ended> failures;
  int ending_signal = SIGTERM;
  auto ending_time = Clock::time_point::max();
  while (children.any_left()) {
    if (const int signal = NotedSignals::take()) {
      children.send(signal);
      ending_signal = 0;
    }
    const auto ended = children.take_ended(WNOHANG);
    if (!ended) std::this_thread::sleep_for(kPause);
    if (ended && ended->status != 0 && ending_signal != SIGKILL) {
      if (failures.empty()) ending_time = Clock::now() + kTimeToNotice;
      failures.push_back(*ended);
    }
    if (ending_signal != 0 && Clock::now() > ending_time) {
      children.send(ending_signal);
      ending_signal = SIGKILL;
      ending_time = Clock::now() + kTimeToEnd;
    }
  }
  std::stable_partition(failures.begin(), failures.end(),
                        [](const auto& ended) { return WIFSIGNALED(ended.status); });
  return failed_run(failures, count);
}

}  // namespace detail

/// Runs `count` processes of `arguments[0]` with these arguments (null at the end, as main has
/// them) and waits for them. Each finds its place in the environment, for `join_processes`; where
/// they meet is a free port of 127.0.0.1, which this process listens at.
///
/// SIGINT and SIGTERM are passed on to the processes. Where one fails without that, the others have
/// a second to end by themselves, then get SIGTERM, and SIGKILL after ten more. They also get
/// SIGTERM should this process die (Linux). They share the cores, by OMP_NUM_THREADS, unless that
/// is set. Throws std::invalid_argument unless count >= 1, std::system_error if they cannot be
/// started and c10::Error if there is no port.
inline LocalRun run_local_processes(int count, char* const* arguments) {
  if (count < 1) {
    throw std::invalid_argument("run_local_processes: expected count >= 1, got " +
                                std::to_string(count));
  }
  const detail::NotedSignals signals;
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  const c10d::TCPStore store("127.0.0.1", options);

  ProcessEnvironment place{0, count, 0, "127.0.0.1", store.getPort(), /*is_hosted=*/true};
  detail::Children children;
  for (place.rank = 0; place.rank < count; ++place.rank) {
    place.local_rank = place.rank;
    auto variables = environment_of(place);
    if (!detail::environment_variable("OMP_NUM_THREADS")) {
      const auto cores = static_cast<int>(std::thread::hardware_concurrency());
      variables.push_back("OMP_NUM_THREADS=" + std::to_string(std::max(1, cores / count)));
    }
    children.start(arguments, detail::environment_with(std::move(variables)));
  }
  return detail::wait_for(children, count);
}

}  // namespace slotcon
