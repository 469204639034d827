#include <gtest/gtest.h>
#include <slotcon/data/random.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::Random;

// The first outputs of splitmix64 from state 0, as published with the generator. The seed 0 is the
// one that the constructor's mixing leaves alone.
TEST(Random, IsSplitmix64) {
  Random random(0);
  EXPECT_EQ(random.bits(), 0xE220A8397B1DCDAFu);
  EXPECT_EQ(random.bits(), 0x6E789E6AA1B965F4u);
  EXPECT_EQ(random.bits(), 0x06C45D188009454Fu);
}

// Values from generate_random.py.
TEST(Random, GivesTheSameNumbersOnEveryCompiler) {
  Random random = Random::keyed(1, 2, 3);
  EXPECT_EQ(random.bits(), 17285447277375252721u);
  EXPECT_EQ(random.uniform(), 0x1.59566e581638p-3);
  EXPECT_EQ(random.uniform(0.1, 2.0), 0x1.17cbfb8369445p-3);
  EXPECT_EQ(random.below(1000), 424u);
  EXPECT_EQ(random.integer(-5, 5), 0);
  EXPECT_EQ(random.permutation(8), (std::vector<std::int64_t>{4, 3, 5, 7, 6, 0, 1, 2}));
}

TEST(Random, GivesEveryKeyItsOwnStream) {
  std::set<std::uint64_t> seen;
  std::size_t streams = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 8; ++epoch) {
      for (std::uint64_t index = 0; index < 64; ++index, ++streams) {
        Random random = Random::keyed(seed, epoch, index);
        for (int draw = 0; draw < 4; ++draw) seen.insert(random.bits());
      }
    }
  }
  EXPECT_EQ(seen.size(), 4 * streams);  // no two streams overlap near their beginnings
}

// The first draw of neighbouring streams: each bit is set in half of them and flips between
// neighbours half of the time.
TEST(Random, MixesNeighbouringKeysWell) {
  constexpr int kStreams = 4000;
  for (const int key : {0, 1, 2}) {
    std::array<int, 64> set{}, flipped{};
    std::uint64_t before = 0;
    for (std::uint64_t i = 0; i < kStreams; ++i) {
      const std::uint64_t bits =
          Random::keyed(key == 0 ? i : 5, key == 1 ? i : 6, key == 2 ? i : 7).bits();
      for (std::size_t bit = 0; bit < 64; ++bit) {
        set[bit] += static_cast<int>(bits >> bit & 1);
        flipped[bit] += static_cast<int>((bits ^ before) >> bit & 1);
      }
      before = bits;
    }
    for (std::size_t bit = 0; bit < 64; ++bit) {  // five standard deviations
      EXPECT_NEAR(set[bit], kStreams / 2, 158) << "key " << key << " bit " << bit;
      EXPECT_NEAR(flipped[bit], kStreams / 2, 158) << "key " << key << " bit " << bit;
    }
  }
}

TEST(Random, UniformStaysInItsRangeAndFillsIt) {
  Random random(4);
  double least = 1, greatest = 0, sum = 0;
  for (int draw = 0; draw < 100000; ++draw) {
    const double value = random.uniform(-0.1, 0.1);
    least = std::min(least, value);
    greatest = std::max(greatest, value);
    sum += value;
  }
  EXPECT_GE(least, -0.1);
  EXPECT_LE(greatest, 0.1);
  EXPECT_LT(least, -0.0999);
  EXPECT_GT(greatest, 0.0999);
  EXPECT_NEAR(sum / 100000, 0, 0.001);
  EXPECT_EQ(random.uniform(3.0, 3.0), 3.0);
}

TEST(Random, IntegersAreUniformAndIncludeBothEnds) {
  Random random(5);
  std::array<int, 7> counts{};
  for (int draw = 0; draw < 70000; ++draw)
    ++counts[static_cast<std::size_t>(random.integer(-3, 3) + 3)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(random.integer(4, 4), 4);
}

TEST(Random, ChanceIsNeverForZeroAndAlwaysForOne) {
  Random random(6);
  int hits = 0;
  for (int draw = 0; draw < 10000; ++draw) {
    EXPECT_FALSE(random.chance(0));
    EXPECT_TRUE(random.chance(1));
    hits += random.chance(0.3);
  }
  EXPECT_NEAR(hits, 3000, 250);
}

TEST(Random, PermutationsAreUniform) {
  Random random(7);
  std::array<std::array<int, 4>, 4> counts{};  // [value][place]
  for (int draw = 0; draw < 24000; ++draw) {
    const auto order = random.permutation(4);
    for (std::size_t place = 0; place < 4; ++place) {
      ++counts[static_cast<std::size_t>(order[place])][place];
    }
  }
  for (const auto& places : counts) {
    for (const int count : places) EXPECT_NEAR(count, 6000, 350);
  }
  EXPECT_TRUE(random.permutation(0).empty());
}

TEST(Random, RefusesEmptyRanges) {
  Random random(8);
  EXPECT_EQ(error_of<std::invalid_argument>([&] { random.below(0); }),
            "Random::below: expected a positive count, got 0");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { random.integer(2, 1); }),
            "Random::integer: expected low <= high, got 2 and 1");
}

}  // namespace
