// Tests that run in every process of a group: in the suite Rank, started by `run_ranks`.
#pragma once

#include <gtest/gtest.h>
#include <slotcon/train/distributed.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::testing {

/// How this program was called.
inline std::string& program() {
  static std::string path;
  return path;
}

/// The processes that `run_ranks` has started.
inline const std::shared_ptr<ProcessGroup>& group() {
  static const auto joined = join_processes(ProcessGroupOptions().timeout(60));
  return joined;
}

/// Runs them in each of `count` processes; a failure of one fails here.
inline void run_ranks(int count) {
  std::vector<std::string> arguments{program(), "--gtest_filter=Rank.*", "--gtest_brief=1"};
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const auto run = run_local_processes(count, pointers.data());
  EXPECT_EQ(run.status, 0) << count << " processes: " << run.failure;
}

/// Which of the items that all processes share are this one's.
class Split {
 public:
  /// Process r has items begins[r] ... begins[r + 1].
  explicit Split(std::vector<std::int64_t> begins) : begins_(std::move(begins)) {}

  torch::Tensor own(const torch::Tensor& all) const {
    const auto rank = static_cast<std::size_t>(group()->rank());
    return all.slice(0, begins_[rank], begins_[rank + 1]);
  }

 private:
  std::vector<std::int64_t> begins_;
};

/// `count` items dealt out as evenly as that goes; among all but the first process, which has none;
/// and among all but the last, which has the last item and no other.
inline std::vector<Split> splits(std::int64_t count) {
  const auto size = group()->size();
  std::vector<std::int64_t> even{0}, without_first{0}, little_for_last{0};
  for (std::int64_t r = 1; r <= size; ++r) {
    even.push_back(count * r / size);
    without_first.push_back(count * (r - 1) / (size - 1));
    little_for_last.push_back(r < size ? (count - 1) * r / (size - 1) : count);
  }
  return {Split(even), Split(without_first), Split(little_for_last)};
}

/// The mean over the processes, which stands for what `GradientAverage` does.
inline torch::Tensor mean_over_processes(const torch::Tensor& value) {
  return group()->all_reduce_sum(value) / group()->size();
}

}  // namespace slotcon::testing
