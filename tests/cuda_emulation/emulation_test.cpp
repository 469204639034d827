// The emulation must do what a GPU does, and must refuse what a GPU would do wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <slotcon/kernel/cuda/warp.cuh>
#include <string>
#include <vector>

#include "tests/cuda_emulation/schedules.h"

namespace cuda = slotcon::kernel::cuda;
using slotcon::emulation::Error;
using slotcon::emulation::kSchedules;
using slotcon::emulation::Schedule;
using slotcon::emulation::Site;
using slotcon::emulation::sites_of;
using slotcon::emulation::With;

namespace {

/// The text of the error that the kernel ends with; "" if it does not.
template <class... Parameters, class... Arguments>
std::string error_of(int threads, std::size_t shared_bytes, void (*kernel)(Parameters...),
                     const Arguments&... arguments) {
  try {
    cuda::launch(kernel, 1, threads, shared_bytes, nullptr, arguments...);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

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

/// Each lane's registers of four matrices whose element (m, row, column) is 64 m + 8 row + column.
void matrices(bool transposed, std::uint32_t* to) {
  auto* shared = cuda::shared_memory<std::uint16_t>();
  const unsigned lane = threadIdx.x;
  for (unsigned column = 0; column < 8; ++column) {
    shared[8 * lane + column] = static_cast<std::uint16_t>(8 * lane + column);
  }
  __syncwarp();
  std::uint32_t registers[4];
  if (transposed) {
    cuda::load_matrices_transposed(registers, shared + 8 * lane);
  } else {
    cuda::load_matrices(registers, shared + 8 * lane);
  }
  for (unsigned i = 0; i < 4; ++i) to[4 * lane + i] = registers[i];
}

/// a [16][depth], b [depth][8], sum [16][8], the parts of the lanes as the tables of PTX have them
/// (9.7.14.5, mma.m16n8k16 and m16n8k8).
template <class T>
void product(const float* a, const float* b, float* sum) {
  constexpr bool kTf32 = std::is_same_v<T, float>;
  constexpr int kDepth = kTf32 ? 8 : 16;
  const int group = cuda::lane_index() / 4, member = cuda::lane_index() % 4;
  const auto packed = [&](auto element) {
    if constexpr (kTf32) {
      return cuda::to_tf32(element(0));
    } else {
      const auto low = cuda::from_float<T>(element(0)).bits;
      const auto high = cuda::from_float<T>(element(1)).bits;
      return low | static_cast<std::uint32_t>(high) << 16;
    }
  };
  constexpr int kStep = kTf32 ? 1 : 2, kHalf = kDepth / 2;
  std::uint32_t a_registers[4], b_registers[2];
  for (int i = 0; i < 4; ++i) {
    const int row = group + (i % 2 == 1 ? 8 : 0), k = member * kStep + (i >= 2 ? kHalf : 0);
    a_registers[i] = packed([&](int half) { return a[row * kDepth + k + half]; });
  }
  for (int i = 0; i < 2; ++i) {
    const int k = member * kStep + (i == 1 ? kHalf : 0);
    b_registers[i] = packed([&](int half) { return b[(k + half) * 8 + group]; });
  }
  float part[4];
  for (int i = 0; i < 4; ++i) part[i] = sum[(group + (i >= 2 ? 8 : 0)) * 8 + member * 2 + i % 2];
  cuda::multiply_add<T>(part, a_registers, b_registers);
  for (int i = 0; i < 4; ++i) sum[(group + (i >= 2 ? 8 : 0)) * 8 + member * 2 + i % 2] = part[i];
}

std::vector<float> up_to(int count) {
  std::vector<float> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(static_cast<float>(i));
  return numbers;
}

/// Each number exact in every type, and the product in float32.
template <class T>
void expect_plain_product() {
  constexpr int kDepth = std::is_same_v<T, float> ? 8 : 16;
  std::vector<float> a(16 * kDepth), b(kDepth * 8), sum(16 * 8);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 37 % 101) / 4 - 12;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i * 53 % 97) / 8 - 6;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = static_cast<float>(i);
  auto expected = sum;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      for (int k = 0; k < kDepth; ++k) {
        expected[static_cast<std::size_t>(row * 8 + column)] +=
            a[static_cast<std::size_t>(row * kDepth + k)] *
            b[static_cast<std::size_t>(k * 8 + column)];
      }
    }
  }
  for (const auto schedule : kSchedules) {
    const With order(schedule);
    auto result = sum;
    cuda::launch(product<T>, 1, 32, 0, nullptr, a.data(), b.data(), result.data());
    EXPECT_EQ(result, expected) << schedule;
  }
}

}  // namespace

// ---- What works ----

TEST(Emulation, RunsEveryThreadOfEveryBlockOnce) {
  for (const auto schedule : kSchedules) {
    const With order(schedule);
    std::vector<int> counts(200, 0);
    cuda::launch(mark, 3, 64, 0, nullptr, counts.data(), 190);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(counts[static_cast<std::size_t>(i)], i < 190 ? 4 : 0);
  }
}

TEST(Emulation, LaunchSaysWhatCudaWouldSay) {
  std::vector<int> counts(1);
  EXPECT_EQ(cuda::launch(mark, 1, 32, 0, nullptr, counts.data(), 1), nullptr);
  EXPECT_STREQ(cuda::launch(mark, 1, 1056, 0, nullptr, counts.data(), 1),
               "invalid configuration argument");
  EXPECT_STREQ(cuda::launch(mark, 1, 32, 228 * 1024, nullptr, counts.data(), 1),
               "invalid configuration argument");
}

TEST(Emulation, BarriersWorkInEverySchedule) {
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

TEST(Emulation, LanesExchange) {
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

TEST(Emulation, RemovedBarriersAreFoundInOneOfTheSchedules) {
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

TEST(Emulation, BarrierThatSomeThreadsDoNotReachIsAnError) {
  const auto error = error_of(64, 0, half_the_block_waits);
  EXPECT_TRUE(contains(error,
                       "deadlock: 32 of 64 threads have ended, others wait in "
                       "__syncthreads at "))
      << error;
}

TEST(Emulation, BarriersInTwoPlacesAreAnError) {
  const auto error = error_of(64, 0, waits_in_two_places);
  EXPECT_TRUE(contains(error, "threads meet at different barriers: ")) << error;
}

TEST(Emulation, ShuffleThatSomeLanesDoNotReachIsAnError) {
  const auto error = error_of(32, 0, half_a_warp_shuffles);
  EXPECT_TRUE(contains(error,
                       "deadlock: 16 of 32 threads have ended, others wait in "
                       "__shfl_xor_sync at "))
      << error;
}

TEST(Emulation, RefusesWhatItDoesNotEmulate) {
  EXPECT_EQ(error_of(32, 0, partial_mask), "only whole warps are emulated");
  EXPECT_EQ(error_of(16, 0, half_the_block_waits), "only whole warps are emulated");
}

TEST(Emulation, AfterAnErrorTheNextKernelRuns) {
  EXPECT_NE(error_of(64, 0, half_the_block_waits), "");
  float sum = 0;
  const auto numbers = up_to(64);
  EXPECT_EQ(error_of(64, 8, sum_of_64, numbers.data(), &sum), "");
  EXPECT_EQ(sum, 2016);
}

TEST(Emulation, SharedMemoryBeginsAsNotANumberInEachBlock) {
  std::vector<float> to(32);
  cuda::launch(reads_shared, 2, 32, 128, nullptr, to.data());
  for (const float value : to) EXPECT_TRUE(std::isnan(value));
}

TEST(Emulation, TailsCanBeBroken) {
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

// ---- Memory ----

#if defined(SLOTCON_EMULATION_ASAN)
TEST(Emulation, AddressSanitizerSeesWhatLiesBeyondTheEnd) {
  std::vector<int> counts(64);
  EXPECT_DEATH(cuda::launch(mark, 1, 96, 0, nullptr, counts.data(), 65), "heap-buffer-overflow");
  std::vector<float> to(64);
  EXPECT_DEATH(cuda::launch(reads_shared, 1, 64, 128, nullptr, to.data()), "heap-buffer-overflow");
}
#endif

TEST(Emulation, CopiesAreMadeWhenTheyAreWaitedFor) {
  const auto from = up_to(128);
  std::vector<float> to(160);
  cuda::launch(copies, 1, 32, 160 * sizeof(float), nullptr, from.data(), to.data());
  for (std::size_t i = 0; i < 128; ++i) EXPECT_EQ(to[i], i / 4 == 1 ? 0 : from[i]) << i;
  for (std::size_t i = 128; i < 160; ++i) EXPECT_TRUE(std::isnan(to[i])) << i;
}

TEST(Emulation, MissingWaitIsFound) {
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

TEST(Emulation, CopiesThatWereNotCommittedAreNotWaitedFor) {
  const auto from = up_to(32);
  std::vector<float> to(32);
  cuda::launch(copies_without_commit, 1, 32, 128, nullptr, from.data(), to.data());
  for (const float value : to) EXPECT_TRUE(std::isnan(value));
}

TEST(Emulation, CopiesGoToSharedMemoryOnly) {
  const auto from = up_to(1);
  float to = 0;
  EXPECT_EQ(error_of(32, 0, copies_to_global, from.data(), &to),
            "copy_async: not to shared memory");
}

TEST(Emulation, VectorsMustBeAligned) {
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

// ---- Numbers and matrices ----

TEST(Emulation, SixteenBitNumbersAreRoundedToNearestEven) {
  using slotcon::emulation::BFloat16;
  using slotcon::emulation::Float16;
  const auto brain = [](float value) { return cuda::from_float<BFloat16>(value).bits; };
  const auto half = [](float value) { return cuda::from_float<Float16>(value).bits; };
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(brain(1), 0x3F80);
  EXPECT_EQ(brain(-2.5f), 0xC020);
  EXPECT_EQ(brain(1 + 1.0f / 256), 0x3F80);
  EXPECT_EQ(brain(1 + 3.0f / 256), 0x3F82);
  EXPECT_EQ(brain(infinity), 0x7F80);
  EXPECT_EQ(half(1), 0x3C00);
  EXPECT_EQ(half(-2.5f), 0xC100);
  EXPECT_EQ(half(1 + 1.0f / 2048), 0x3C00);
  EXPECT_EQ(half(1 + 3.0f / 2048), 0x3C02);
  EXPECT_EQ(half(2 - 1.0f / 4096), 0x4000);
  EXPECT_EQ(half(65504), 0x7BFF);
  EXPECT_EQ(half(65520), 0x7C00);
  EXPECT_EQ(half(1e-6f), 0x0011);
  EXPECT_EQ(half(std::ldexp(1.0f, -25)), 0);
  EXPECT_EQ(half(std::ldexp(1.0f, -14)), 0x0400);
  EXPECT_TRUE(std::isnan(cuda::to_float(cuda::from_float<Float16>(std::nanf("")))));
  EXPECT_TRUE(std::isnan(cuda::to_float(cuda::from_float<BFloat16>(std::nanf("")))));
}

TEST(Emulation, EverySixteenBitNumberSurvivesTheWayThroughFloat) {
  for (unsigned bits = 0; bits <= 0xFFFF; ++bits) {
    const slotcon::emulation::Float16 half{static_cast<std::uint16_t>(bits)};
    const slotcon::emulation::BFloat16 brain{static_cast<std::uint16_t>(bits)};
    if (!std::isnan(cuda::to_float(half))) {
      EXPECT_EQ(cuda::from_float<slotcon::emulation::Float16>(cuda::to_float(half)).bits, bits);
    }
    if (!std::isnan(cuda::to_float(brain))) {
      EXPECT_EQ(cuda::from_float<slotcon::emulation::BFloat16>(cuda::to_float(brain)).bits, bits);
    }
  }
}

TEST(Emulation, Tf32IsRoundedAwayFromZeroAtTies) {
  EXPECT_EQ(cuda::to_tf32(1), 0x3F800000u);
  EXPECT_EQ(cuda::to_tf32(1 + 1.0f / 2048) & 0xFFFFE000u, 0x3F802000u);
  EXPECT_EQ(cuda::to_tf32(1 + 0.9f / 2048) & 0xFFFFE000u, 0x3F800000u);
}

TEST(Emulation, LanesGetTheirPartsOfMatrices) {
  for (const bool transposed : {false, true}) {
    for (const auto schedule : kSchedules) {
      const With order(schedule);
      std::vector<std::uint32_t> to(128);
      cuda::launch(matrices, 1, 32, 512, nullptr, transposed, to.data());
      for (unsigned lane = 0; lane < 32; ++lane) {
        for (unsigned matrix = 0; matrix < 4; ++matrix) {
          const unsigned i = lane / 4, j = lane % 4 * 2;
          const unsigned low = 64 * matrix + (transposed ? 8 * j + i : 8 * i + j);
          const unsigned high = low + (transposed ? 8 : 1);
          EXPECT_EQ(to[4 * lane + matrix], low | high << 16);
        }
      }
    }
  }
}

TEST(Emulation, MatrixInstructionsMultiply) {
  expect_plain_product<cuda::BFloat16>();
  expect_plain_product<cuda::Float16>();
  expect_plain_product<float>();
}
