// Runs a program as a person would and keeps what it says.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace slotcon::testing {

struct ProgramResult {
  int status;          ///< exit status
  std::string output;  ///< standard output and standard error
};

/// Runs a shell command.
inline ProgramResult run_program(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("run_program: cannot start '" + command + "'");
  std::string output;
  char buffer[4096];
  while (const auto count = std::fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, count);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output};
}

/// A shell command in the background, whose output nobody sees.
class BackgroundProgram {
 public:
  explicit BackgroundProgram(const std::string& command) : pid_(fork()) {
    if (pid_ < 0) throw std::runtime_error("BackgroundProgram: cannot start '" + command + "'");
    if (pid_ > 0) return;
    const auto replaced = "exec " + command + " >/dev/null 2>&1 </dev/null";  // not its child
    execl("/bin/sh", "sh", "-c", replaced.c_str(), nullptr);
    _exit(127);
  }

  /// Ends a program that has not ended.
  ~BackgroundProgram() { kill(); }

  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  bool has_ended() { return pid_ == 0 || reap(WNOHANG); }

  /// Ends it at once, as `kill -9` does. False if it had ended by itself.
  bool kill() {
    if (has_ended()) return false;
    ::kill(pid_, SIGKILL);
    reap(0);
    return WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL;
  }

 private:
  bool reap(int flags) {
    if (waitpid(pid_, &status_, flags) != pid_) return false;
    pid_ = 0;
    return true;
  }

  pid_t pid_;  // 0: it has ended
  int status_ = 0;
};

}  // namespace slotcon::testing
