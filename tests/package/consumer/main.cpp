// A program of somebody else's: a loss forward and backward with values known by hand, and loops on
// as many threads as they were given.
#include <ATen/Parallel.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/version.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace {

void expect(bool holds, const char* what) {
  std::cout << (holds ? "ok    " : "WRONG ") << what << '\n';
  if (!holds) std::exit(1);
}

// Two positions, each equal to one of two orthogonal prototypes: every prototype pools its own
// position, and as the features of a position sum to 1, so does the gradient of the slots' sum.
void check_grouping() {
  const auto identity = torch::eye(2);
  const auto features = identity.clone().view({1, 2, 1, 2}).requires_grad_();
  const slotcon::Grouping grouping = slotcon::functional::semantic_grouping(
      features, identity, slotcon::SemanticGroupingOptions(2, 2));
  grouping.slots.sum().backward();
  expect(torch::allclose(grouping.slots, identity.view({1, 2, 2}), 0, 1e-5), "slots");
  expect(torch::allclose(grouping.scores, identity.view({1, 2, 1, 2}), 0, 1e-6), "scores");
  expect(torch::allclose(features.grad(), torch::ones({1, 2, 1, 2}), 0, 1e-5), "gradient");
}

// The threads that at::parallel_for runs on when it may use `limit`.
std::size_t threads_of_a_loop(int limit) {
  at::set_num_threads(limit);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  at::parallel_for(0, 64, 1, [&](std::int64_t, std::int64_t) {
    const std::lock_guard<std::mutex> lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  return threads.size();
}

// The copies of libgomp in this process; 0 where there is no /proc.
std::size_t openmp_runtimes() {
  std::ifstream maps("/proc/self/maps");
  std::set<std::string> paths;
  for (std::string line; std::getline(maps, line);) {
    const auto path = line.find('/');
    if (path != std::string::npos && line.find("libgomp", path) != std::string::npos) {
      paths.insert(line.substr(path));
    }
  }
  return paths.size();
}

}  // namespace

int main() {
  std::cout << "slotcon " << slotcon::kVersion << '\n';
  check_grouping();
  expect(threads_of_a_loop(2) == 2, "a loop runs on the two threads it was given");
  expect(openmp_runtimes() <= 1, "one OpenMP runtime");
}
