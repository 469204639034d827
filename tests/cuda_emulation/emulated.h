// What the tests of emulated kernels on tensors share.
#pragma once

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <set>

#include "tests/cuda_emulation/fiber.h"
#include "tests/cuda_emulation/schedules.h"

namespace slotcon::emulation {

/// Tensors begin as NaN: what a kernel forgets to write is seen.
class Test : public ::testing::Test {
 protected:
  void SetUp() override { at::globalContext().setDeterministicAlgorithms(true, false); }
  void TearDown() override { at::globalContext().setDeterministicAlgorithms(false, false); }
};

/// The places where `all_right` comes by, in files that have `part` in their names.
inline std::set<Site> sites_to_break(const std::function<bool()>& all_right, const char* part) {
  auto sites = sites_of([&] { EXPECT_TRUE(all_right()); });
  for (auto site = sites.begin(); site != sites.end();) {
    site = std::strstr(site->file, part) == nullptr ? sites.erase(site) : std::next(site);
  }
  EXPECT_FALSE(sites.empty());
  return sites;
}

/// At each place where `all_right` comes by, breaks what is there: a barrier or a wait does
/// nothing, a bound is one too low. In one of the schedules all may not be right. Of all files, or
/// of those that have `part` in their names.
inline void expect_every_planted_bug_is_found(const std::function<bool()>& all_right,
                                              const char* part = "") {
  const auto found = [&](const Site& site) {
    for (const auto schedule : kSchedules) {
      const With broken(schedule, site);
      try {
        if (!all_right()) return true;
      } catch (const Error&) {
        return true;
      }
    }
    return false;
  };
  for (const auto& site : sites_to_break(all_right, part)) {
    EXPECT_TRUE(found(site)) << "a bug is not found: " << site;
  }
}

#if defined(SLOTCON_EMULATION_ASAN)
/// Whether `work` says yes, in a process of its own that AddressSanitizer may stop.
inline bool says_yes_apart(const std::function<bool()>& work) {
  const auto child = ::fork();
  if (child == 0) {
    if (std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(1);
    std::_Exit(work() ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Lets one more in at each bound: either something is not right then, or AddressSanitizer sees
/// what lies beyond the end of an array.
inline void expect_every_overrun_is_found(const std::function<bool()>& all_right,
                                          const char* part = "") {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // the others of this process would not be there in its copies
  EXPECT_TRUE(says_yes_apart(all_right));
  for (const auto& site : sites_to_break(all_right, part)) {
    if (std::strcmp(site.call, "inside") != 0) continue;
    const With broken(Schedule::kForward, site, +1);
    EXPECT_FALSE(says_yes_apart(all_right)) << "an overrun is not found: " << site;
  }
  at::set_num_threads(threads);
}
#endif

}  // namespace slotcon::emulation
