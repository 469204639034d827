// Errors as one line for people.
#pragma once

#include <c10/util/Exception.h>

#include <cstdio>
#include <exception>

namespace examples {

/// Runs a program; what it throws becomes one message on standard error and exit status 1.
inline int report_errors(const char* program, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
  }
  return 1;
}

}  // namespace examples
