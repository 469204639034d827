// The processes that share a run: `--nproc` or torchrun started them, or there is just this one.
#pragma once

#include <slotcon/train/distributed.h>

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "support/interrupt.h"
#include "support/options.h"

namespace examples {

/// Whether this process has to start those of the run, rather than being one of them.
inline bool has_to_start_processes(const RunOptions& run) {
  const auto place = slotcon::process_environment();
  if (!place) return run.nproc > 1;
  if (run.nproc > 1 && run.nproc != place->size) {
    throw std::invalid_argument("expected no --nproc, or " + std::to_string(place->size) +
                                " as WORLD_SIZE says, got " + std::to_string(run.nproc));
  }
  return false;
}

/// Runs this program as several processes; the exit status for this one.
inline int run_as_processes(const char* program, std::int64_t count, char** argv) {
  const auto run = slotcon::run_local_processes(static_cast<int>(count), argv);
  if (!run.failure.empty() && run.status != kInterruptedExit) {
    std::fprintf(stderr, "%s: %s\n", program, run.failure.c_str());
  }
  return run.status;
}

class Processes {
 public:
  /// Waits for the others, if there are any. All but the first are quiet from then on, errors
  /// aside.
  explicit Processes(const RunOptions& run)
      : group_(slotcon::join_processes(slotcon::ProcessGroupOptions().timeout(run.timeout))) {
    if (!is_first() && std::freopen("/dev/null", "w", stdout) == nullptr) {
      throw std::runtime_error("cannot open /dev/null");
    }
  }

  const slotcon::CollectivesPtr& group() const { return group_; }  ///< null: one process
  std::int64_t rank() const { return group_ ? group_->rank() : 0; }
  std::int64_t count() const { return group_ ? group_->size() : 1; }

  /// The one that logs, saves and scores.
  bool is_first() const { return rank() == 0; }

  /// Whether it is so in any process.
  bool any(bool here) const {
    if (!group_) return here;
    return group_->all_reduce_sum(torch::full({1}, here ? 1 : 0)).item<std::int64_t>() > 0;
  }

  void wait_for_all() const { any(false); }

  /// `result` with the means over the processes of its loss, grouping and contrast.
  template <class Result>
  Result averaged(Result result) const {
    if (!group_) return result;
    const torch::NoGradGuard no_grad;
    const auto sums =
        group_->all_reduce_sum(at::stack({result.loss, result.grouping, result.contrast}));
    const auto means = (sums / count()).unbind();
    result.loss = means[0];
    result.grouping = means[1];
    result.contrast = means[2];
    return result;
  }

 private:
  slotcon::CollectivesPtr group_;
};

}  // namespace examples
