// What the tests of emulated kernels on tensors share.
#pragma once

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/cuda_emulation/schedules.h"

namespace slotcon::emulation {

/// Tensors begin as NaN: what a kernel forgets to write is seen.
class Test : public ::testing::Test {
 protected:
  void SetUp() override { at::globalContext().setDeterministicAlgorithms(true, false); }
  void TearDown() override { at::globalContext().setDeterministicAlgorithms(false, false); }
};

/// At each place where `all_right` comes by, breaks what is there: a barrier or a wait does
/// nothing, a bound is one too low. In one of the schedules all may not be right.
inline void expect_every_planted_bug_is_found(const std::function<bool()>& all_right) {
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
  const auto sites = sites_of([&] { EXPECT_TRUE(all_right()); });
  EXPECT_FALSE(sites.empty());
  for (const auto& site : sites) EXPECT_TRUE(found(site)) << "a bug is not found: " << site;
}

}  // namespace slotcon::emulation
