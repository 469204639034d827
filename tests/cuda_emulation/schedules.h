// What tests of emulated kernels share.
#pragma once

#include <functional>
#include <set>

#include "tests/cuda_emulation/settings.h"

namespace slotcon::emulation {

constexpr Schedule kSchedules[] = {Schedule::kForward, Schedule::kReverse, Schedule::kRandom};

/// The places in kernels, as far as `work` runs them, in which a bug can be planted.
inline std::set<Site> sites_of(const std::function<void()>& work) {
  std::set<Site> sites;
  Settings noting = settings();
  noting.visited = &sites;
  const With noted(noting);
  work();
  return sites;
}

}  // namespace slotcon::emulation
