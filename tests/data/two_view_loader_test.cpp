#include <gtest/gtest.h>
#include <slotcon/data/scenes.h>
#include <slotcon/data/two_view_loader.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::TwoViews;
using slotcon::data::Image;
using slotcon::data::ImageSource;
using slotcon::data::make_two_views;
using slotcon::data::Random;
using slotcon::data::SceneImages;
using slotcon::data::TwoViewLoader;
using slotcon::data::TwoViewLoaderOptions;

TwoViewLoaderOptions small_options(int workers, std::int64_t batch_size = 4) {
  TwoViewLoaderOptions options;
  options.batch_size = batch_size;
  options.workers = workers;
  options.seed = 11;
  options.views.image_size = 16;
  return options;
}

std::shared_ptr<const ImageSource> scenes(std::int64_t count) {
  return std::make_shared<SceneImages>(1, count, 32);
}

/// A hash of everything in the batch, of the images in the order in which they lie in memory.
std::string hash_of(const TwoViews& batch) {
  std::string hashes;
  for (std::size_t v = 0; v < 2; ++v) {
    const auto& images = batch.images[v];
    const auto& [boxes, flipped] = batch.geometry[v];
    hashes += fnv1a(images.data_ptr(), static_cast<std::size_t>(images.nbytes()));
    hashes += fnv1a(boxes.data_ptr(), static_cast<std::size_t>(boxes.nbytes()));
    hashes += fnv1a(flipped.data_ptr(), static_cast<std::size_t>(flipped.nbytes()));
  }
  return fnv1a(hashes.data(), hashes.size());
}

std::vector<std::string> epoch_hashes(TwoViewLoader& loader, std::int64_t epoch,
                                      std::int64_t first_batch = 0) {
  std::vector<std::string> hashes;
  loader.begin_epoch(epoch, first_batch);
  while (const auto batch = loader.next()) hashes.push_back(hash_of(*batch));
  return hashes;
}

/// Images of one colour, the index of the image; can fail, and count how many loads are under way.
class IndexImages : public ImageSource {
 public:
  explicit IndexImages(std::int64_t count, std::int64_t broken = -1)
      : count_(count), broken_(broken) {}
  std::int64_t size() const override { return count_; }
  Image load(std::int64_t index) const override {
    if (index == broken_) throw std::runtime_error("image 5 is broken");
    ++loads;
    Image image(8, 8);
    for (auto& sample : image.pixels) sample = static_cast<std::uint8_t>(index);
    return image;
  }
  mutable std::atomic<int> loads{0};

 private:
  std::int64_t count_, broken_;
};

/// Options that leave the colours of an image alone.
TwoViewLoaderOptions plain_options(int workers, std::int64_t batch_size) {
  TwoViewLoaderOptions options = small_options(workers, batch_size);
  for (auto& view : options.views.photometric) {
    view.jitter_probability = view.grayscale_probability = view.blur_probability = 0;
    view.solarize_probability = 0;
  }
  return options;
}

/// The indices of IndexImages in a batch, from the red values of its first view.
std::vector<std::int64_t> indices_of(const TwoViews& batch) {
  std::vector<std::int64_t> indices;
  for (std::int64_t sample = 0; sample < batch.images[0].size(0); ++sample) {
    const float red = batch.images[0][sample][0][3][3].item<float>();
    indices.push_back(std::lround((red * 0.229f + 0.485f) * 255.0f));
  }
  return indices;
}

TEST(TwoViewLoader, GivesTensorsOfTheStatedKind) {
  TwoViewLoader loader(scenes(9), small_options(1));
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  loader.begin_epoch(0);
  const auto batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  for (std::size_t v = 0; v < 2; ++v) {
    EXPECT_EQ(batch->images[v].sizes(), (std::vector<std::int64_t>{4, 3, 16, 16}));
    EXPECT_EQ(batch->images[v].scalar_type(), at::kFloat);
    EXPECT_TRUE(batch->images[v].is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_EQ(batch->geometry[v].boxes.sizes(), (std::vector<std::int64_t>{4, 4}));
    EXPECT_EQ(batch->geometry[v].boxes.scalar_type(), at::kFloat);
    EXPECT_EQ(batch->geometry[v].flipped.sizes(), (std::vector<std::int64_t>{4}));
    EXPECT_EQ(batch->geometry[v].flipped.scalar_type(), at::kBool);
  }
}

TEST(TwoViewLoader, HoldsTheViewsOfEachImageNormalised) {
  const auto source = std::make_shared<SceneImages>(1, 1, 32);
  TwoViewLoader loader(source, small_options(0, 1));
  loader.begin_epoch(3);
  const auto batch = loader.next();
  ASSERT_TRUE(batch.has_value());
  Random random = Random::keyed(11, 3, 0);
  const auto views = make_two_views(source->load(0), small_options(0).views, random);
  const auto mean = torch::tensor({0.485f, 0.456f, 0.406f}).view({3, 1, 1});
  const auto deviation = torch::tensor({0.229f, 0.224f, 0.225f}).view({3, 1, 1});
  for (std::size_t v = 0; v < 2; ++v) {
    auto pixels = views[v].image.pixels;
    const auto image = torch::from_blob(pixels.data(), {16, 16, 3}, at::kByte).permute({2, 0, 1});
    const auto expected = (image.to(at::kFloat).div(255) - mean) / deviation;
    EXPECT_TRUE(torch::equal(batch->images[v][0], expected));
    const auto& box = views[v].box;
    EXPECT_TRUE(
        torch::equal(batch->geometry[v].boxes[0], torch::tensor({box.x1, box.y1, box.x2, box.y2})));
    EXPECT_EQ(batch->geometry[v].flipped[0].item<bool>(), views[v].flipped);
  }
}

TEST(TwoViewLoader, MakesTheSameBatchesWithAnyNumberOfWorkers) {
  const std::vector<std::string> expected = {"3043e01fb6cbe99e", "935ca5fb42fa798b",
                                             "c094dc9197e42065"};
  for (const int workers : {0, 1, 3}) {
    TwoViewLoader loader(scenes(13), small_options(workers));
    EXPECT_EQ(epoch_hashes(loader, 1), expected) << workers << " workers";
    EXPECT_NE(epoch_hashes(loader, 2), expected) << workers << " workers";
    EXPECT_EQ(epoch_hashes(loader, 1), expected) << workers << " workers, again";
  }
}

TEST(TwoViewLoader, ResumesInTheMiddleOfAnEpoch) {
  TwoViewLoader loader(scenes(22), small_options(2));
  const auto whole = epoch_hashes(loader, 4);
  ASSERT_EQ(whole.size(), 5u);
  for (std::int64_t first = 0; first <= 5; ++first) {
    const std::vector<std::string> rest(whole.begin() + first, whole.end());
    EXPECT_EQ(epoch_hashes(loader, 4, first), rest) << first;
  }
}

TEST(TwoViewLoader, VisitsEveryImageOnceInAnOrderOfTheEpoch) {
  TwoViewLoader loader(std::make_shared<IndexImages>(60), plain_options(2, 10));
  std::vector<std::vector<std::int64_t>> orders;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    loader.begin_epoch(epoch);
    std::vector<std::int64_t> order;
    while (const auto batch = loader.next()) {
      for (const auto index : indices_of(*batch)) order.push_back(index);
    }
    const std::set<std::int64_t> distinct(order.begin(), order.end());
    EXPECT_EQ(order.size(), 60u);
    EXPECT_EQ(distinct.size(), 60u);
    orders.push_back(order);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
}

TEST(TwoViewLoader, ProcessesTogetherGetTheBatchesOfOne) {
  const auto part_of = [](const TwoViews& batch, std::int64_t begin, std::int64_t end) {
    TwoViews part;
    for (std::size_t v = 0; v < 2; ++v) {
      part.images[v] = batch.images[v].slice(0, begin, end);
      part.geometry[v] = {batch.geometry[v].boxes.slice(0, begin, end),
                          batch.geometry[v].flipped.slice(0, begin, end)};
    }
    return part;
  };
  const std::vector<std::vector<std::int64_t>> begins{{0, 7}, {0, 3, 7}, {0, 2, 4, 7}};
  for (const auto& begin : begins) {
    TwoViewLoader whole(scenes(23), small_options(2, 7));
    std::vector<std::unique_ptr<TwoViewLoader>> loaders;
    auto options = small_options(1, 7);
    options.processes = static_cast<std::int64_t>(begin.size()) - 1;
    for (options.rank = 0; options.rank < options.processes; ++options.rank) {
      options.workers = static_cast<int>(options.rank);  // as many as it likes
      loaders.push_back(std::make_unique<TwoViewLoader>(scenes(23), options));
    }
    whole.begin_epoch(2, 1);
    for (auto& loader : loaders) loader->begin_epoch(2, 1);
    int batches = 0;
    while (const auto batch = whole.next()) {
      ++batches;
      for (std::size_t rank = 0; rank < loaders.size(); ++rank) {
        const auto own = loaders[rank]->next();
        ASSERT_TRUE(own.has_value());
        EXPECT_EQ(hash_of(*own), hash_of(part_of(*batch, begin[rank], begin[rank + 1])))
            << "rank " << rank << " of " << loaders.size();
      }
    }
    EXPECT_EQ(batches, 2);
    for (auto& loader : loaders) EXPECT_FALSE(loader->next().has_value());
  }
}

TEST(TwoViewLoader, LeavesOutTheLastPartialBatch) {
  TwoViewLoader loader(std::make_shared<IndexImages>(23), plain_options(1, 10));
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_EQ(epoch_hashes(loader, 0).size(), 2u);
  EXPECT_FALSE(loader.next().has_value());
}

TEST(TwoViewLoader, GivesNothingBeforeTheFirstEpoch) {
  TwoViewLoader loader(scenes(4), small_options(1));
  EXPECT_FALSE(loader.next().has_value());
}

TEST(TwoViewLoader, AnEpochMayEndEarly) {
  TwoViewLoader loader(scenes(40), small_options(3));
  const auto expected = epoch_hashes(loader, 1);
  for (int trial = 0; trial < 20; ++trial) {
    loader.begin_epoch(0);
    for (int batch = 0; batch < trial % 4; ++batch) ASSERT_TRUE(loader.next().has_value());
  }
  EXPECT_EQ(epoch_hashes(loader, 1), expected);
}

TEST(TwoViewLoader, StopsInTheMiddleOfAnEpoch) {
  for (int trial = 0; trial < 30; ++trial) {
    TwoViewLoader loader(scenes(40), small_options(trial % 4));
    loader.begin_epoch(trial);
    for (int batch = 0; batch < trial % 3; ++batch) ASSERT_TRUE(loader.next().has_value());
  }
}

TEST(TwoViewLoader, PrefetchesAFewBatchesAndNoMore) {
  const auto source = std::make_shared<IndexImages>(100);
  TwoViewLoader loader(source, plain_options(2, 5));
  loader.begin_epoch(0);
  for (int wait = 0; wait < 2000 && source->loads < 15; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(source->loads, 15);  // three batches of five
}

TEST(TwoViewLoader, PassesOnWhatLoadingThrew) {
  for (const int workers : {0, 1, 3}) {
    TwoViewLoader loader(std::make_shared<IndexImages>(20, 5), plain_options(workers, 4));
    loader.begin_epoch(0);
    std::set<std::int64_t> seen;
    int batches = 0, errors = 0;
    for (int step = 0; step < 5; ++step) {
      try {
        const auto batch = loader.next();
        ASSERT_TRUE(batch.has_value());
        ++batches;
        for (const auto index : indices_of(*batch)) seen.insert(index);
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "image 5 is broken");
        ++errors;
      }
    }
    EXPECT_EQ(errors, 1);
    EXPECT_EQ(batches, 4);  // the epoch goes on without the batch
    EXPECT_EQ(seen.size(), 16u);
    EXPECT_EQ(seen.count(5), 0u);
    EXPECT_FALSE(loader.next().has_value());
  }
}

TEST(TwoViewLoader, RefusesWrongArguments) {
  const auto error = [](std::shared_ptr<const ImageSource> source, TwoViewLoaderOptions options) {
    try {
      TwoViewLoader(std::move(source), options);
    } catch (const c10::ValueError& failure) {
      return std::string(failure.what_without_backtrace());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error(nullptr, small_options(0)), "TwoViewLoader: expected an image source, got null");
  EXPECT_EQ(error(scenes(3), small_options(0)),
            "TwoViewLoader: expected at least 4 images to fill a batch, got 3");
  EXPECT_EQ(error(scenes(3), small_options(0, 0)),
            "TwoViewLoader: expected a positive batch_size, got 0");
  EXPECT_EQ(error(scenes(4), small_options(-1)), "TwoViewLoader: expected workers >= 0, got -1");
  TwoViewLoaderOptions shared = small_options(0);
  shared.processes = 5;
  EXPECT_EQ(error(scenes(4), shared),
            "TwoViewLoader: expected processes in 1 ... 4, an image of a batch each, got 5");
  shared.processes = 2;
  shared.rank = 2;
  EXPECT_EQ(error(scenes(4), shared), "TwoViewLoader: expected rank in 0 ... 1, got 2");
  TwoViewLoaderOptions wrong = small_options(0);
  wrong.views.min_scale = 0;
  EXPECT_THROW(TwoViewLoader(scenes(4), wrong), std::invalid_argument);
  TwoViewLoader loader(scenes(9), small_options(0));
  for (const std::int64_t first : {-1, 3}) {
    try {
      loader.begin_epoch(0, first);
      ADD_FAILURE();
    } catch (const c10::ValueError& failure) {
      EXPECT_EQ(std::string(failure.what_without_backtrace()),
                "TwoViewLoader: expected first_batch in 0 ... 2, got " + std::to_string(first));
    }
  }
}

}  // namespace
