#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/scenes.h>
#include <slotcon/data/two_view_transform.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "fixture.h"

namespace {

using slotcon::data::check_options;
using slotcon::data::Image;
using slotcon::data::make_scene;
using slotcon::data::make_two_views;
using slotcon::data::PhotometricOptions;
using slotcon::data::Random;
using slotcon::data::TwoViewOptions;
using slotcon::data::View;

/// Options that change no colours.
TwoViewOptions geometry_only(int image_size) {
  TwoViewOptions options;
  options.image_size = image_size;
  for (auto& view : options.photometric) {
    view = {};
    view.jitter_probability = view.grayscale_probability = view.blur_probability = 0;
  }
  return options;
}

TEST(TwoViewOptions, DefaultToThePublishedSetting) {
  const TwoViewOptions options;
  EXPECT_EQ(options.image_size, 224);
  EXPECT_EQ(options.min_scale, 0.08);
  EXPECT_EQ(options.flip_probability, 0.5);
  for (const PhotometricOptions& view : options.photometric) {
    EXPECT_EQ(view.jitter_probability, 0.8);
    EXPECT_EQ(view.jitter.brightness, 0.4);
    EXPECT_EQ(view.jitter.contrast, 0.4);
    EXPECT_EQ(view.jitter.saturation, 0.2);
    EXPECT_EQ(view.jitter.hue, 0.1);
    EXPECT_EQ(view.grayscale_probability, 0.2);
    EXPECT_EQ(view.min_blur_sigma, 0.1);
    EXPECT_EQ(view.max_blur_sigma, 2.0);
  }
  EXPECT_EQ(options.photometric[0].blur_probability, 1.0);
  EXPECT_EQ(options.photometric[1].blur_probability, 0.1);
  EXPECT_EQ(options.photometric[0].solarize_probability, 0.0);
  EXPECT_EQ(options.photometric[1].solarize_probability, 0.2);
}

TEST(MakeTwoViews, IsTheSameOnEveryCompiler) {
  TwoViewOptions options;
  options.image_size = 64;
  std::string hashes;
  for (std::uint64_t index = 0; index < 8; ++index) {
    Random random = Random::keyed(1, 2, index);
    for (const View& view : make_two_views(make_scene(1, index).image, options, random)) {
      hashes += fnv1a(view.image.pixels) + fnv1a(&view.box, sizeof(view.box)) + "FT"[view.flipped];
    }
  }
  EXPECT_EQ(fnv1a(hashes.data(), hashes.size()), "0f228365af743952");
}

// In an image whose red is the column and whose green is the row, both views must show the same
// colours in the corners and the middle of their boxes.
TEST(MakeTwoViews, MeasuresBoxesThatShowTheSameRegion) {
  Image map(250, 250);
  for (int y = 0; y < 250; ++y) {
    for (int x = 0; x < 250; ++x) {
      map.at(y, x)[0] = static_cast<std::uint8_t>(x);
      map.at(y, x)[1] = static_cast<std::uint8_t>(y);
    }
  }
  const auto colour_at = [](const View& view, double across, double down) {
    const double left = view.flipped ? 1 - across : across;  // in the image's orientation
    const double x = view.box.x1 + left * (view.box.x2 - view.box.x1);
    const double y = view.box.y1 + down * (view.box.y2 - view.box.y1);
    return view.image.at(static_cast<int>(y * 127.999), static_cast<int>(x * 127.999));
  };
  bool mirrored = false;
  for (std::uint64_t sample = 0; sample < 200; ++sample) {
    Random random = Random::keyed(5, sample);
    const auto views = make_two_views(map, geometry_only(128), random);
    mirrored |= views[0].flipped != views[1].flipped;
    for (const double across : {0.1, 0.5, 0.9}) {
      for (const double down : {0.1, 0.5, 0.9}) {
        const auto* first = colour_at(views[0], across, down);
        const auto* second = colour_at(views[1], across, down);
        EXPECT_NEAR(first[0], second[0], 4);
        EXPECT_NEAR(first[1], second[1], 4);
      }
    }
  }
  EXPECT_TRUE(mirrored);
}

TEST(MakeTwoViews, FlipsEachViewIndependently) {
  const Image image = make_scene(1, 1, 32).image;
  std::array<int, 4> counts{};
  for (std::uint64_t sample = 0; sample < 2000; ++sample) {
    Random random = Random::keyed(6, sample);
    const auto views = make_two_views(image, geometry_only(4), random);
    ++counts[static_cast<std::size_t>(2 * views[0].flipped + views[1].flipped)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 500, 100);
}

TEST(MakeTwoViews, WithoutAugmentationIsTheImage) {
  const Image image = make_scene(1, 1, 48).image;
  TwoViewOptions options = geometry_only(48);
  options.flip_probability = 0;
  options.min_scale = 1;
  Random random(1);
  bool found = false;  // a crop of the whole image, whose aspect is drawn, is 48 x 48 now and then
  for (int sample = 0; sample < 200 && !found; ++sample) {
    const auto views = make_two_views(image, options, random);
    found = views[0].image == image && views[1].image == image;
  }
  EXPECT_TRUE(found);
}

/// How often a view of a colourful image is (gray, blurred away, solarized) for the given options.
TEST(MakeTwoViews, AppliesEachChangeWithItsProbability) {
  Image colours(8, 8);
  for (std::size_t i = 0; i < colours.pixels.size(); i += 3) {
    colours.pixels[i] = 200;  // a constant: blurs and crops do not change it
    colours.pixels[i + 1] = 120;
    colours.pixels[i + 2] = 60;
  }
  TwoViewOptions options = geometry_only(8);
  options.photometric[0].grayscale_probability = 0.2;
  options.photometric[1].solarize_probability = 0.2;
  int gray = 0, solarized = 0, changed = 0;
  constexpr int kSamples = 4000;
  for (std::uint64_t sample = 0; sample < kSamples; ++sample) {
    Random random = Random::keyed(7, sample);
    const auto views = make_two_views(colours, options, random);
    gray += views[0].image.pixels[0] == views[0].image.pixels[2];
    solarized += views[1].image.pixels[0] == 55;
  }
  EXPECT_NEAR(gray, 800, 130);
  EXPECT_NEAR(solarized, 800, 130);

  options = geometry_only(8);
  options.photometric[1].jitter_probability = 0.8;
  options.photometric[1].jitter = {1.0, 0, 0, 0};
  for (std::uint64_t sample = 0; sample < kSamples; ++sample) {
    Random random = Random::keyed(8, sample);
    const auto views = make_two_views(colours, options, random);
    EXPECT_EQ(views[0].image, colours);
    changed += views[1].image != colours;
  }
  EXPECT_NEAR(changed, 3200, 130);
}

TEST(MakeTwoViews, BlursWithTheGivenProbability) {
  Image edges(16, 16);
  for (std::size_t i = 0; i < edges.pixels.size(); i += 6) edges.pixels[i] = 255;
  TwoViewOptions options = geometry_only(16);
  options.min_scale = 1;
  options.photometric[0].blur_probability = 1;
  options.photometric[0].min_blur_sigma = options.photometric[0].max_blur_sigma = 3;
  Random random(9);
  const auto views = make_two_views(edges, options, random);
  const auto contrast = [](const Image& image) {
    int sum = 0;
    for (std::size_t i = 3; i < image.pixels.size(); i += 3) {
      sum += std::abs(image.pixels[i] - image.pixels[i - 3]);
    }
    return sum;
  };
  EXPECT_LT(4 * contrast(views[0].image), contrast(views[1].image));
}

TEST(MakeTwoViews, HandlesTheSmallestImagesAndTheLongest) {
  Random random(10);
  TwoViewOptions options;
  options.image_size = 7;
  for (const auto& [height, width] : {std::pair(1, 1), std::pair(1, 300), std::pair(300, 1)}) {
    for (const View& view : make_two_views(Image(height, width), options, random)) {
      EXPECT_EQ(view.image.height, 7);
      EXPECT_EQ(view.image.width, 7);
    }
  }
  EXPECT_EQ(error_of<std::invalid_argument>([&] { make_two_views(Image(), options, random); }),
            "make_two_views: expected a positive height and width, got 0 x 0");
}

TEST(TwoViewOptions, AreCheckedByName) {
  const auto error = [](auto change) {
    TwoViewOptions options;
    change(options);
    return error_of<std::invalid_argument>([&] { check_options(options); });
  };
  EXPECT_EQ(error([](auto& o) { o.image_size = 0; }),
            "TwoViewOptions: expected image_size in 1 ... 16384, got 0");
  EXPECT_EQ(error([](auto& o) { o.min_scale = 2; }),
            "TwoViewOptions: expected min_scale in 1e-06 ... 1, got 2");
  EXPECT_EQ(error([](auto& o) { o.photometric[1].jitter.hue = 0.6; }),
            "TwoViewOptions: expected jitter.hue in 0 ... 0.5, got 0.6");
  EXPECT_EQ(error([](auto& o) { o.photometric[0].min_blur_sigma = 3; }),
            "TwoViewOptions: expected min_blur_sigma in 0 ... 2, got 3");
  EXPECT_EQ(error([](auto& o) { o.flip_probability = NAN; }),
            "TwoViewOptions: expected flip_probability in 0 ... 1, got nan");
  EXPECT_NE(error([](auto& o) { o.photometric[0].jitter_probability = -1; }), "");
  EXPECT_NE(error([](auto& o) { o.photometric[0].solarize_probability = 1.1; }), "");
  EXPECT_NE(error([](auto& o) { o.photometric[1].max_blur_sigma = 1000; }), "");
  check_options({});
}

}  // namespace
