// Threads of the emulation: they must do what those of a GPU do, and what a GPU would do wrong must
// be found.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cuda_emulation/small_kernels.h"

namespace cuda = slotcon::kernel::cuda;
using slotcon::emulation::error_of;
using slotcon::emulation::kSchedules;
using slotcon::emulation::Schedule;
using slotcon::emulation::sites_of;
using slotcon::emulation::up_to;
using slotcon::emulation::With;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void mark(int* counts, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (cuda::inside(i, size)) counts[i] += 1 + static_cast<int>(gridDim.x);
}

/// The sum of 64 numbers by two warps, through shared memory.
void sum_of_64(const float* from, float* to) {
  auto* shared = cuda::shared_memory<float>();
  const float sum = cuda::group_sum<64>(from[threadIdx.x], shared);
  if (threadIdx.x == 0) *to = sum;
}

/// Shifts 64 numbers by one, through shared memory that is used twice.
void shift_twice(const float* from, float* to) {
  auto* shared = cuda::shared_memory<float>();
  const unsigned i = threadIdx.x;
  shared[i] = from[i];
  __syncthreads();
  const float next = shared[(i + 1) % 64];
  __syncthreads();
  shared[i] = next;
  __syncthreads();
  to[i] = shared[(i + 1) % 64];
}

void shuffles(int* to) {
  const int lane = cuda::lane_index();
  to[lane] = __shfl_sync(cuda::kAllLanes, 100 + lane, 3);
  to[32 + lane] = __shfl_xor_sync(cuda::kAllLanes, 100 + lane, 5);
  to[64 + lane] = static_cast<int>(__ballot_sync(cuda::kAllLanes, lane % 3 == 0));
}

void half_the_block_waits() {
  if (threadIdx.x < 32) __syncthreads();
}

void waits_in_two_places() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

void half_a_warp_shuffles() {
  if (threadIdx.x < 16) __shfl_xor_sync(cuda::kAllLanes, 1, 1);
}

void partial_mask() { __shfl_sync(0xFFFFu, 1, 0); }

}  // namespace

// ---- What works ----

TEST(EmulatedThreads, RunsEveryThreadOfEveryBlockOnce) {
  for (const auto schedule : kSchedules) {
    const With order(schedule);
    std::vector<int> counts(200, 0);
    cuda::launch(mark, 3, 64, 0, nullptr, counts.data(), 190);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(counts[static_cast<std::size_t>(i)], i < 190 ? 4 : 0);
  }
}

TEST(EmulatedThreads, LaunchSaysWhatCudaWouldSay) {
  std::vector<int> counts(1);
  EXPECT_EQ(cuda::launch(mark, 1, 32, 0, nullptr, counts.data(), 1), nullptr);
  EXPECT_STREQ(cuda::launch(mark, 1, 1056, 0, nullptr, counts.data(), 1),
               "invalid configuration argument");
  EXPECT_STREQ(cuda::launch(mark, 1, 32, 228 * 1024, nullptr, counts.data(), 1),
               "invalid configuration argument");
}

TEST(EmulatedThreads, BarriersWorkInEverySchedule) {
  const auto numbers = up_to(64);
  for (const auto schedule : kSchedules) {
    for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
      const With order(schedule, seed);
      float sum = 0;
      cuda::launch(sum_of_64, 1, 64, 2 * sizeof(float), nullptr, numbers.data(), &sum);
      EXPECT_EQ(sum, 2016);
      std::vector<float> shifted(64);
      cuda::launch(shift_twice, 1, 64, 256, nullptr, numbers.data(), shifted.data());
      for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(shifted[i], numbers[(i + 2) % 64]);
    }
  }
}

TEST(EmulatedThreads, LanesExchange) {
  for (const auto schedule : kSchedules) {
    const With order(schedule);
    std::vector<int> to(96);
    cuda::launch(shuffles, 1, 32, 0, nullptr, to.data());
    for (int lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(to[static_cast<std::size_t>(lane)], 103);
      EXPECT_EQ(to[static_cast<std::size_t>(32 + lane)], 100 + (lane ^ 5));
      EXPECT_EQ(static_cast<unsigned>(to[static_cast<std::size_t>(64 + lane)]), 0x49249249u);
    }
  }
}

// ---- What must be found ----

TEST(EmulatedThreads, RemovedBarriersAreFoundInOneOfTheSchedules) {
  const auto numbers = up_to(64);
  std::vector<float> shifted(64);
  const auto run = [&] {
    cuda::launch(shift_twice, 1, 64, 256, nullptr, numbers.data(), shifted.data());
    return shifted;
  };
  const auto right = run();
  const auto sites = sites_of([&] { run(); });
  EXPECT_EQ(sites.size(), 3u);
  for (const auto& site : sites) {
    bool found = false;
    for (const auto schedule : kSchedules) {
      const With broken(schedule, site);
      found = found || run() != right;
    }
    EXPECT_TRUE(found) << site;
  }
}

TEST(EmulatedThreads, BarrierThatSomeThreadsDoNotReachIsAnError) {
  const auto error = error_of(64, 0, half_the_block_waits);
  EXPECT_TRUE(contains(error,
                       "deadlock: 32 of 64 threads have ended, others wait in "
                       "__syncthreads at "))
      << error;
}

TEST(EmulatedThreads, BarriersInTwoPlacesAreAnError) {
  const auto error = error_of(64, 0, waits_in_two_places);
  EXPECT_TRUE(contains(error, "threads meet at different barriers: ")) << error;
}

TEST(EmulatedThreads, ShuffleThatSomeLanesDoNotReachIsAnError) {
  const auto error = error_of(32, 0, half_a_warp_shuffles);
  EXPECT_TRUE(contains(error,
                       "deadlock: 16 of 32 threads have ended, others wait in "
                       "__shfl_xor_sync at "))
      << error;
}

TEST(EmulatedThreads, RefusesWhatItDoesNotEmulate) {
  EXPECT_EQ(error_of(32, 0, partial_mask), "only whole warps are emulated");
  EXPECT_EQ(error_of(16, 0, half_the_block_waits), "only whole warps are emulated");
}

TEST(EmulatedThreads, AfterAnErrorTheNextKernelRuns) {
  EXPECT_NE(error_of(64, 0, half_the_block_waits), "");
  float sum = 0;
  const auto numbers = up_to(64);
  EXPECT_EQ(error_of(64, 8, sum_of_64, numbers.data(), &sum), "");
  EXPECT_EQ(sum, 2016);
}

TEST(EmulatedThreads, TailsCanBeBroken) {
  std::vector<int> counts(64, 0);
  const auto run = [&] { cuda::launch(mark, 1, 64, 0, nullptr, counts.data(), 64); };
  const auto sites = sites_of(run);
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(counts[63], 2);
  const With broken(Schedule::kForward, *sites.begin());
  run();
  EXPECT_EQ(counts[62], 4);
  EXPECT_EQ(counts[63], 2);
}
