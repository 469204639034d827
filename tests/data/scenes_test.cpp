#include <gtest/gtest.h>
#include <slotcon/data/scenes.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::kSceneClasses;
using slotcon::data::make_scene;
using slotcon::data::Scene;
using slotcon::data::SceneImages;

TEST(Scenes, AreTheSameOnEveryCompiler) {
  const Scene scene = make_scene(1, 2);
  EXPECT_EQ(fnv1a(scene.image.pixels), "6f65d23997f4f2bf");
  EXPECT_EQ(fnv1a(scene.labels.labels), "ae9378d970c7f7e9");
  const Scene large = make_scene(~std::uint64_t{0}, 12345678901u, 128);
  EXPECT_EQ(fnv1a(large.image.pixels), "491a07e8ccd0c741");
  EXPECT_EQ(fnv1a(large.labels.labels), "30b5ec86ae261b30");
}

// The table of sines is rounded from the math library's: no entry may be so near to a tie that two
// libraries could round it differently.
TEST(Scenes, SineTableIsFarFromRoundingTies) {
  for (int step = 0; step < 1024; ++step) {
    const double scaled = 65536 * std::sin(6.283185307179586 * step / 1024);
    EXPECT_GT(std::abs(std::abs(scaled - std::floor(scaled)) - 0.5), 1e-6) << step;
    EXPECT_EQ(slotcon::data::detail::sine(step * 64), std::lround(scaled)) << step;
  }
}

TEST(Scenes, DifferBySeedAndIndex) {
  const auto image = make_scene(1, 2).image;
  EXPECT_NE(image, make_scene(1, 3).image);
  EXPECT_NE(image, make_scene(2, 2).image);
  EXPECT_EQ(image, make_scene(1, 2).image);
}

// The shares of the design that was measured to be neither too easy nor too hard.
TEST(Scenes, HaveTheDesignedShareOfEveryClass) {
  constexpr std::array<double, 9> kShares = {.27, .15, .15, .08, .10, .04, .05, .08, .07};
  std::array<double, 9> counts{};
  constexpr int kScenes = 600;
  for (int index = 0; index < kScenes; ++index) {
    for (const auto label : make_scene(2, static_cast<std::uint64_t>(index)).labels.labels) {
      counts.at(label) += 1.0 / (kScenes * 96 * 96);
    }
  }
  for (std::size_t c = 0; c < 9; ++c) EXPECT_NEAR(counts[c], kShares[c], .02) << kSceneClasses[c];
}

// Colours alone must not tell the classes apart: over many scenes the mean colours of all classes
// lie closer together than the colours within a class.
TEST(Scenes, HaveColoursThatOverlapBetweenClasses) {
  std::array<std::array<double, 3>, 9> sum{}, squares{};
  std::array<double, 9> counts{};
  for (std::uint64_t index = 0; index < 200; ++index) {
    const Scene scene = make_scene(3, index);
    for (std::size_t i = 0; i < scene.labels.labels.size(); ++i) {
      const std::size_t label = scene.labels.labels[i];
      counts[label] += 1;
      for (std::size_t c = 0; c < 3; ++c) {
        const double value = scene.image.pixels[3 * i + c];
        sum[label][c] += value;
        squares[label][c] += value * value;
      }
    }
  }
  for (std::size_t c = 0; c < 3; ++c) {
    double within = 0, mean = 0, between = 0;
    for (std::size_t k = 0; k < 9; ++k) {
      const double centre = sum[k][c] / counts[k];
      within += (squares[k][c] / counts[k] - centre * centre) / 9;
      mean += centre / 9;
    }
    for (std::size_t k = 0; k < 9; ++k) between += std::pow(sum[k][c] / counts[k] - mean, 2) / 9;
    EXPECT_LT(between, .5 * within) << "channel " << c;
  }
}

TEST(Scenes, HaveSkyAboveTheGround) {
  for (std::uint64_t index = 0; index < 50; ++index) {
    const auto labels = make_scene(4, index).labels;
    for (int x = 0; x < 96; ++x) {
      EXPECT_NE(labels.at(0, x), 1);
      EXPECT_NE(labels.at(0, x), 2);
      EXPECT_NE(labels.at(95, x), 0);
    }
  }
}

TEST(Scenes, ComeInOtherSizes) {
  for (const int size : {16, 33, 200}) {
    const Scene scene = make_scene(5, 6, size);
    EXPECT_EQ(scene.image.height, size);
    EXPECT_EQ(scene.labels.width, size);
  }
  EXPECT_EQ(error_of<std::invalid_argument>([] { make_scene(5, 6, 15); }),
            "make_scene: expected a size in 16 ... 4096, got 15");
}

TEST(SceneImages, AreTheScenesOfASeed) {
  const SceneImages images(7, 3, 32);
  EXPECT_EQ(images.size(), 3);
  EXPECT_EQ(images.load(2), make_scene(7, 2, 32).image);
  EXPECT_EQ(images.scene(2).labels, make_scene(7, 2, 32).labels);
  EXPECT_EQ(error_of<std::out_of_range>([&] { images.load(3); }),
            "SceneImages: expected an index in 0 ... 2, got 3");
  EXPECT_EQ(error_of<std::invalid_argument>([] { SceneImages(7, -1); }),
            "SceneImages: expected a count of at least 0, got -1");
}

}  // namespace
