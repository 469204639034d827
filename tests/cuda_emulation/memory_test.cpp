// Memory of the emulation: what is read too early, beyond the end or at a wrong address is found.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/cuda_emulation/small_kernels.h"

namespace cuda = slotcon::kernel::cuda;
using slotcon::emulation::error_of;
using slotcon::emulation::Schedule;
using slotcon::emulation::sites_of;
using slotcon::emulation::up_to;
using slotcon::emulation::With;

namespace {

void reads_shared(float* to) { to[threadIdx.x] = cuda::shared_memory<float>()[threadIdx.x]; }

void copies(const float* from, float* to) {
  auto* shared = cuda::shared_memory<float>();
  const unsigned i = threadIdx.x;
  cuda::copy_async<16>(shared + 4 * i, from + 4 * i, i != 1);
  cuda::commit_copies();
  cuda::copy_async<4>(shared + 128 + i, from + i, true);
  cuda::commit_copies();
  cuda::wait_copies<1>();
  for (unsigned j = 0; j < 4; ++j) to[4 * i + j] = shared[4 * i + j];
  to[128 + i] = shared[128 + i];  // of the group that has not been waited for
}

void copies_without_commit(const float* from, float* to) {
  auto* shared = cuda::shared_memory<float>();
  cuda::copy_async<4>(shared + threadIdx.x, from + threadIdx.x, true);
  cuda::wait_copies<0>();
  to[threadIdx.x] = shared[threadIdx.x];
}

void loads_four_at(const float* from, float* to) {
  cuda::store<4>(to + 4 * threadIdx.x, cuda::load<4>(from + 4 * threadIdx.x));
}

void copies_to_global(const float* from, float* to) { cuda::copy_async<4>(to, from, true); }

#if defined(SLOTCON_EMULATION_ASAN)
void writes(int* to, int size) {
  const int i = static_cast<int>(threadIdx.x);
  if (cuda::inside(i, size)) to[i] = i;
}
#endif

}  // namespace

TEST(EmulatedMemory, SharedMemoryBeginsAsNotANumberInEachBlock) {
  std::vector<float> to(32);
  cuda::launch(reads_shared, 2, 32, 128, nullptr, to.data());
  for (const float value : to) EXPECT_TRUE(std::isnan(value));
}

#if defined(SLOTCON_EMULATION_ASAN)
TEST(EmulatedMemory, AddressSanitizerSeesWhatLiesBeyondTheEnd) {
  std::vector<int> counts(64);
  EXPECT_DEATH(cuda::launch(writes, 1, 96, 0, nullptr, counts.data(), 65), "heap-buffer-overflow");
  std::vector<float> to(64);
  EXPECT_DEATH(cuda::launch(reads_shared, 1, 64, 128, nullptr, to.data()), "heap-buffer-overflow");
}
#endif

TEST(EmulatedMemory, CopiesAreMadeWhenTheyAreWaitedFor) {
  const auto from = up_to(128);
  std::vector<float> to(160);
  cuda::launch(copies, 1, 32, 160 * sizeof(float), nullptr, from.data(), to.data());
  for (std::size_t i = 0; i < 128; ++i) EXPECT_EQ(to[i], i / 4 == 1 ? 0 : from[i]) << i;
  for (std::size_t i = 128; i < 160; ++i) EXPECT_TRUE(std::isnan(to[i])) << i;
}

TEST(EmulatedMemory, MissingWaitIsFound) {
  const auto from = up_to(128);
  std::vector<float> to(160);
  const auto run = [&] {
    cuda::launch(copies, 1, 32, 160 * sizeof(float), nullptr, from.data(), to.data());
  };
  const auto sites = sites_of(run);
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_STREQ(sites.begin()->call, "wait_copies");
  const With broken(Schedule::kForward, *sites.begin());
  run();
  for (const float value : to) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatedMemory, CopiesThatWereNotCommittedAreNotWaitedFor) {
  const auto from = up_to(32);
  std::vector<float> to(32);
  cuda::launch(copies_without_commit, 1, 32, 128, nullptr, from.data(), to.data());
  for (const float value : to) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatedMemory, CopiesGoToSharedMemoryOnly) {
  const auto from = up_to(1);
  float to = 0;
  EXPECT_EQ(error_of(32, 0, copies_to_global, from.data(), &to),
            "copy_async: not to shared memory");
}

TEST(EmulatedMemory, VectorsMustBeAligned) {
  alignas(16) float numbers[136] = {}, copied[136] = {};
  const float* const from = numbers;
  float* const to = copied;
  numbers[7] = 3;
  EXPECT_EQ(error_of(32, 0, loads_four_at, from, to), "");
  EXPECT_EQ(to[7], 3);
  EXPECT_EQ(error_of(32, 0, loads_four_at, from + 2, to),
            "load: the address is not a multiple of the vector");
  EXPECT_EQ(error_of(32, 0, loads_four_at, from, to + 1),
            "store: the address is not a multiple of the vector");
}
