// Numbers and matrix instructions of the emulation.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "tests/cuda_emulation/small_kernels.h"

namespace cuda = slotcon::kernel::cuda;
using slotcon::emulation::kSchedules;
using slotcon::emulation::With;

namespace {

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

TEST(EmulatedTensorCore, SixteenBitNumbersAreRoundedToNearestEven) {
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

TEST(EmulatedTensorCore, EverySixteenBitNumberSurvivesTheWayThroughFloat) {
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

TEST(EmulatedTensorCore, Tf32IsRoundedAwayFromZeroAtTies) {
  EXPECT_EQ(cuda::to_tf32(1), 0x3F800000u);
  EXPECT_EQ(cuda::to_tf32(1 + 1.0f / 2048) & 0xFFFFE000u, 0x3F802000u);
  EXPECT_EQ(cuda::to_tf32(1 + 0.9f / 2048) & 0xFFFFE000u, 0x3F800000u);
}

TEST(EmulatedTensorCore, LanesGetTheirPartsOfMatrices) {
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

TEST(EmulatedTensorCore, MatrixInstructionsMultiply) {
  expect_plain_product<cuda::BFloat16>();
  expect_plain_product<cuda::Float16>();
  expect_plain_product<float>();
}
