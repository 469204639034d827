#include <gtest/gtest.h>
#include <slotcon/data/cached_images.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::CachedImages;
using slotcon::data::Image;
using slotcon::data::ImageSource;

/// Ten images of 12 bytes, filled with their index; counts how often each is loaded.
class CountingSource : public ImageSource {
 public:
  std::int64_t size() const override { return 10; }
  Image load(std::int64_t index) const override {
    ++loads[static_cast<std::size_t>(index)];
    Image image(2, 2);
    for (auto& sample : image.pixels) sample = static_cast<std::uint8_t>(index);
    return image;
  }
  mutable std::array<std::atomic<int>, 10> loads{};
};

TEST(CachedImages, LoadsEachImageOnceWhileItFits) {
  const auto source = std::make_shared<CountingSource>();
  const CachedImages cached(source, 1000);
  EXPECT_EQ(cached.size(), 10);
  for (int round = 0; round < 3; ++round) {
    for (std::int64_t index = 0; index < 10; ++index) {
      EXPECT_EQ(cached.load(index).at(1, 1)[2], index);
    }
  }
  for (const auto& loads : source->loads) EXPECT_EQ(loads, 1);
  EXPECT_EQ(cached.bytes(), 120u);
}

TEST(CachedImages, KeepsTheFirstImagesWithinTheBudget) {
  const auto source = std::make_shared<CountingSource>();
  const CachedImages cached(source, 40);  // three images of 12 bytes
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t index = 0; index < 10; ++index) {
      EXPECT_EQ(cached.load(index).at(0, 0)[0], index);
    }
  }
  EXPECT_EQ(cached.bytes(), 36u);
  for (std::size_t index = 0; index < 10; ++index) {
    EXPECT_EQ(source->loads[index], index < 3 ? 1 : 2) << index;
  }
}

TEST(CachedImages, ServesManyThreads) {
  const auto source = std::make_shared<CountingSource>();
  const CachedImages cached(source, 60);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        if (cached.load(round % 10).at(0, 0)[0] != round % 10) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cached.bytes(), 60u);
}

TEST(CachedImages, RefusesWrongArguments) {
  EXPECT_EQ(error_of<std::invalid_argument>([] { CachedImages(nullptr, 1); }),
            "CachedImages: expected a source, got null");
  const CachedImages cached(std::make_shared<CountingSource>(), 60);
  for (const std::int64_t index : {-1, 10}) {
    EXPECT_EQ(error_of<std::out_of_range>([&] { cached.load(index); }),
              "CachedImages: expected an index in 0 ... 9, got " + std::to_string(index));
  }
}

}  // namespace
