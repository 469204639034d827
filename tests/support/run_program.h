// Runs a program as a person would and keeps what it says.
#pragma once

#include <sys/wait.h>

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

}  // namespace slotcon::testing
