#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/photometric.h>

#include <cstdint>
#include <limits>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::adjust_brightness;
using slotcon::data::adjust_contrast;
using slotcon::data::adjust_hue;
using slotcon::data::adjust_saturation;
using slotcon::data::color_jitter;
using slotcon::data::ColorJitter;
using slotcon::data::gaussian_blur;
using slotcon::data::grayscale;
using slotcon::data::Image;
using slotcon::data::Random;
using slotcon::data::read_image;
using slotcon::data::solarize;

Image photo() { return read_image(fixture_path("photo.png")); }

void apply(const std::string& operation, double amount, Image& image) {
  if (operation == "brightness") return adjust_brightness(image, amount);
  if (operation == "contrast") return adjust_contrast(image, amount);
  if (operation == "saturation") return adjust_saturation(image, amount);
  if (operation == "hue") return adjust_hue(image, amount);
  if (operation == "blur") return gaussian_blur(image, amount);
  if (operation == "gray") return grayscale(image);
  if (operation == "solarize") return solarize(image);
  ADD_FAILURE() << "unknown operation " << operation;
}

TEST(Photometric, IsBitEqualToPillow) {
  for (auto& line : fixture_lines("pillow_photometric.txt")) {
    std::string operation, hash;
    double amount = 0;
    line >> operation >> amount >> hash;
    Image image = photo();
    apply(operation, amount, image);
    EXPECT_EQ(fnv1a(image.pixels), hash) << line.str();
  }
}

TEST(AdjustHue, IsBitEqualToPillowForColoursOfAllKinds) {
  constexpr int kSteps = 51;
  Image colours(kSteps * kSteps, kSteps);
  for (int y = 0; y < colours.height; ++y) {
    for (int x = 0; x < kSteps; ++x) {
      colours.at(y, x)[0] = static_cast<std::uint8_t>(5 * (y / kSteps));
      colours.at(y, x)[1] = static_cast<std::uint8_t>(5 * (y % kSteps));
      colours.at(y, x)[2] = static_cast<std::uint8_t>(5 * x);
    }
  }
  for (auto& line : fixture_lines("pillow_hue.txt")) {
    std::string hash;
    double turns = 0;
    line >> turns >> hash;
    Image rotated = colours;
    adjust_hue(rotated, turns);
    EXPECT_EQ(fnv1a(rotated.pixels), hash) << line.str();
  }
}

TEST(AdjustHue, LeavesGrayAlone) {
  Image gray(16, 16);
  for (std::size_t i = 0; i < gray.pixels.size(); ++i) {
    gray.pixels[i] = static_cast<std::uint8_t>(i / 3);
  }
  Image rotated = gray;
  adjust_hue(rotated, 0.3);
  EXPECT_EQ(rotated, gray);
}

TEST(GaussianBlur, KeepsConstantImagesAndHandlesTinyOnes) {
  for (const double sigma : {0.1, 0.9, 2.0, 30.0}) {
    for (const int size : {1, 2, 5}) {
      Image image(size, 3);
      for (auto& sample : image.pixels) sample = 200;
      const Image before = image;
      gaussian_blur(image, sigma);
      EXPECT_EQ(image, before) << sigma << ' ' << size;
    }
  }
  Image untouched = photo();
  gaussian_blur(untouched, 0);
  EXPECT_EQ(untouched, photo());
}

TEST(GaussianBlur, HasTheVarianceOfItsSigma) {
  Image line(1, 101);
  line.at(0, 50)[0] = 255;
  gaussian_blur(line, 2.0);
  double sum = 0, variance = 0;
  for (int x = 0; x < 101; ++x) {
    sum += line.at(0, x)[0];
    variance += (x - 50) * (x - 50) * line.at(0, x)[0];
  }
  EXPECT_NEAR(sum, 255, 5);
  EXPECT_NEAR(variance / sum, 4.0, 0.3);
}

TEST(Solarize, InvertsTheUpperHalf) {
  Image image(1, 1);
  image.pixels = {127, 128, 255};
  solarize(image);
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{127, 127, 0}));
}

TEST(ColorJitter, IsDeterminedByTheStream) {
  Image a = photo(), b = photo();
  Random first = Random::keyed(1, 2), second = Random::keyed(1, 2);
  color_jitter(a, {}, first);
  color_jitter(b, {}, second);
  EXPECT_EQ(a, b);
  EXPECT_EQ(first.bits(), second.bits());
  EXPECT_NE(a, photo());
  color_jitter(b, {}, second);
  EXPECT_NE(a, b);
}

TEST(ColorJitter, OfNoStrengthChangesNothingAndDrawsAsMuch) {
  Image image = photo();
  Random still = Random::keyed(1, 2), moving = Random::keyed(1, 2);
  color_jitter(image, {0, 0, 0, 0}, still);
  EXPECT_EQ(image, photo());
  color_jitter(image, {}, moving);
  EXPECT_EQ(still.bits(), moving.bits());
}

// A saturation factor of 0 and a brightness do not commute with rounding: the order shows.
TEST(ColorJitter, AppliesItsPartsInEveryOrder) {
  std::set<std::string> results;
  for (std::uint64_t key = 0; key < 200; ++key) {
    Image image = photo();
    Random random = Random::keyed(9, key);
    const auto order = Random(random).permutation(4);  // the first thing that is drawn
    Image by_hand = image;
    color_jitter(image, {0.4, 0.4, 0.2, 0.1}, random);
    Random again = Random::keyed(9, key);
    again.permutation(4);
    const double brightness = again.uniform(0.6, 1.4), contrast = again.uniform(0.6, 1.4);
    const double saturation = again.uniform(0.8, 1.2), turns = again.uniform(-0.1, 0.1);
    std::string names;
    for (const auto property : order) {
      names += "bcsh"[property];
      if (property == 0) adjust_brightness(by_hand, brightness);
      if (property == 1) adjust_contrast(by_hand, contrast);
      if (property == 2) adjust_saturation(by_hand, saturation);
      if (property == 3) adjust_hue(by_hand, turns);
    }
    EXPECT_EQ(image, by_hand) << names;
    results.insert(names);
  }
  EXPECT_EQ(results.size(), 24u);
}

TEST(Photometric, RefusesAmountsOutOfRange) {
  Image image(1, 1);
  const auto error = [&](auto operation, double amount) {
    return error_of<std::invalid_argument>([&] { operation(image, amount); });
  };
  EXPECT_EQ(error(adjust_brightness, -0.5),
            "adjust_brightness: expected a finite factor of at least 0, got -0.500000");
  EXPECT_EQ(error(adjust_contrast, std::numeric_limits<double>::infinity()),
            "adjust_contrast: expected a finite factor of at least 0, got inf");
  EXPECT_EQ(error(adjust_saturation, -1),
            "adjust_saturation: expected a finite factor of at least 0, got -1.000000");
  EXPECT_EQ(error(adjust_hue, 0.51), "adjust_hue: expected turns in -0.5 ... 0.5, got 0.510000");
  EXPECT_EQ(error(gaussian_blur, -1),
            "gaussian_blur: expected a sigma in 0 ... 100, got -1.000000");
  EXPECT_NE(error(gaussian_blur, std::numeric_limits<double>::quiet_NaN()), "");
}

}  // namespace
