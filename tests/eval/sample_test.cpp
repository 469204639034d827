#include <gtest/gtest.h>
#include <slotcon/eval/sample.h>

#include <cstdint>
#include <vector>

using slotcon::eval::sample_positions;

TEST(SamplePositions, TakesAllPositionsBelowTheLimit) {
  const auto positions = sample_positions({3, 0, 2}, 10, 7);
  EXPECT_EQ(positions, (std::vector<std::vector<std::int64_t>>{{0, 1, 2}, {}, {0, 1}}));
}

TEST(SamplePositions, TakesAsManyAsTheLimitWithoutRepetition) {
  const std::vector<std::int64_t> sizes{100, 7, 0, 400};
  const auto positions = sample_positions(sizes, 50, 3);
  ASSERT_EQ(positions.size(), sizes.size());
  std::size_t drawn = 0;
  for (std::size_t map = 0; map < sizes.size(); ++map) {
    drawn += positions[map].size();
    for (std::size_t i = 0; i < positions[map].size(); ++i) {
      EXPECT_GE(positions[map][i], 0);
      EXPECT_LT(positions[map][i], sizes[map]);
      if (i > 0) {
        EXPECT_LT(positions[map][i - 1], positions[map][i]);
      }
    }
  }
  EXPECT_EQ(drawn, 50u);
}

TEST(SamplePositions, DependsOnTheSeedOnly) {
  EXPECT_EQ(sample_positions({1000}, 20, 5), sample_positions({1000}, 20, 5));
  EXPECT_NE(sample_positions({1000}, 20, 5), sample_positions({1000}, 20, 6));
}

TEST(SamplePositions, DrawsEachPositionEquallyOften) {
  const int draws = 6000;
  std::vector<int> count(10, 0);
  for (int seed = 0; seed < draws; ++seed) {
    const auto positions = sample_positions({4, 6}, 3, static_cast<std::uint64_t>(seed));
    for (const auto position : positions[0]) ++count[static_cast<std::size_t>(position)];
    for (const auto position : positions[1]) ++count[static_cast<std::size_t>(4 + position)];
  }
  // Binomial with 6000 draws of chance 0.3: mean 1800, standard deviation 35.5; 4.5 of them.
  for (const int times : count) EXPECT_NEAR(times, 1800, 160);
}
