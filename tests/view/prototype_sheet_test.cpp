#include <gtest/gtest.h>
#include <slotcon/view/prototype_sheet.h>

#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/view/picture.h"

using slotcon::data::Image;
using slotcon::view::Color;
using slotcon::view::ImageRanking;
using slotcon::view::prototype_sheet;
using slotcon::view::rank_images;
using slotcon::view::tint_winning_region;

namespace {

/// Images in memory, which remember which of them were loaded.
class Images : public slotcon::data::ImageSource {
 public:
  explicit Images(std::vector<Image> images) : images_(std::move(images)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  Image load(std::int64_t index) const override {
    loaded.insert(index);
    return images_.at(static_cast<std::size_t>(index));
  }
  mutable std::set<std::int64_t> loaded;

 private:
  std::vector<Image> images_;
};

/// Cosines [3 images, 2 prototypes, 1, 4 positions].
torch::Tensor example_scores() {
  return torch::tensor({0.5, 0.9, 0.1,  0.2, 0.4, 0.8, 0.3,  0.6,  //
                        0.1, 0.1, 0.1,  0.3, 0.2, 0.2, 0.4,  0.4,  //
                        0.9, 0.6, -0.1, 0.0, 0.9, 0.2, -0.3, -0.2})
      .view({3, 2, 1, 4});
}

/// 3 maps 2 x 2 of generate_view.py.
torch::Tensor example_maps() {
  return torch::tensor({0.9, 0.2, 0.1, 0.3, 0.4, 0.6, 0.5, 0.2, 0.1, 0.1, 0.2, 0.7})
      .view({3, 2, 2});
}

}  // namespace

TEST(RankImages, ScoresByTheMeanOverWonPositions) {
  const ImageRanking ranking = rank_images(example_scores(), 3);
  // Image 0: prototype 0 wins positions 0, 1. Image 1: prototype 0 wins none, so it has the mean of
  // all. Image 2: prototype 0 wins all, the tie at position 0 too.
  const torch::Tensor expected = torch::tensor({{0.7, 0.15, 0.35}, {0.45, 0.3, 0.15}});
  EXPECT_TRUE(ranking.scores.allclose(expected.to(torch::kFloat), 0, 1e-6)) << ranking.scores;
  EXPECT_TRUE(ranking.order.equal(torch::tensor({{0, 2, 1}, {0, 1, 2}})));
}

TEST(RankImages, KeepsOnlyTheBest) {
  EXPECT_TRUE(rank_images(example_scores(), 1).order.equal(torch::tensor({{0}, {0}})));
}

TEST(RankImages, KeepsTheOrderOfEqualImages) {
  const torch::Tensor scores = torch::full({40, 1, 2, 2}, 0.5);
  EXPECT_TRUE(rank_images(scores, 40).order.equal(torch::arange(40).view({1, 40})));
}

TEST(RankImages, EqualsTheHardMaskOfThePublishedCode) {
  torch::manual_seed(5);
  const torch::Tensor scores = torch::rand({6, 9, 3, 3}, torch::kDouble) * 2 - 1;
  const torch::Tensor mask = torch::one_hot(scores.argmax(1), 9).permute({0, 3, 1, 2});
  const torch::Tensor weight = mask.to(torch::kDouble) + 1e-6;
  const torch::Tensor published = (scores * weight).sum({2, 3}) / weight.sum({2, 3});
  const torch::Tensor ranked = rank_images(scores, 2).scores;
  EXPECT_EQ(ranked.scalar_type(), torch::kDouble);
  EXPECT_TRUE(ranked.allclose(published.t(), 0, 1e-4));
  EXPECT_GT((mask.sum({2, 3}) == 0).sum().item<int>(), 5);  // prototypes without a position
}

TEST(TintWinningRegion, TintsWhereTheUpsampledMapIsHighest) {
  const std::string expected[] = {"000111", "000111", "000111", "111222", "111222", "111222"};
  const Image gray = filled(6, 6, {100, 100, 100});
  for (int prototype = 0; prototype < 3; ++prototype) {
    const Image picture = tint_winning_region(example_maps(), prototype, gray);
    for (int y = 0; y < 6; ++y) {
      for (int x = 0; x < 6; ++x) {
        const bool wins =
            expected[y][static_cast<std::size_t>(x)] == static_cast<char>('0' + prototype);
        EXPECT_EQ(color_at(picture, y, x), wins ? (Color{162, 60, 60}) : (Color{100, 100, 100}));
      }
    }
  }
}

TEST(TintWinningRegion, LeavesAPictureWithoutARegion) {
  const Image image = filled(5, 7, {1, 2, 3});
  EXPECT_EQ(tint_winning_region(torch::tensor({0.f, 1.f}).view({2, 1, 1}), 0, image), image);
  EXPECT_EQ(tint_winning_region(torch::tensor({0.f, 1.f}).view({2, 1, 1}), 1, image, 0.0),
            filled(5, 7, {255, 0, 0}));
}

TEST(PrototypeSheet, HasARowForEachPrototypeWithItsBestImages) {
  const Images images(
      {filled(1, 4, {100, 100, 100}), filled(1, 4, {200, 200, 200}), filled(1, 4, {50, 50, 50})});
  const torch::Tensor scores = example_scores();
  const Image sheet = prototype_sheet(images, scores, rank_images(scores, 2), {1, 0}, {1});
  ASSERT_EQ(sheet.height, 5);
  ASSERT_EQ(sheet.width, 11);
  // Row 0: prototype 1, images 0 and 1. It wins positions 2, 3 of image 0 and all of image 1.
  EXPECT_EQ(color_at(sheet, 1, 2), (Color{100, 100, 100}));
  EXPECT_EQ(color_at(sheet, 1, 3), (Color{162, 60, 60}));
  EXPECT_EQ(color_at(sheet, 1, 6), (Color{222, 120, 120}));
  // Row 1: prototype 0, images 0 and 2.
  EXPECT_EQ(color_at(sheet, 3, 1), (Color{162, 60, 60}));
  EXPECT_EQ(color_at(sheet, 3, 4), (Color{100, 100, 100}));
  EXPECT_EQ(color_at(sheet, 3, 9), (Color{132, 30, 30}));
  EXPECT_EQ(color_at(sheet, 2, 5), slotcon::view::kWhite);
}

TEST(PrototypeSheet, LoadsOnlyWhatItDraws) {
  const Images images(std::vector<Image>(3, Image(2, 2)));
  prototype_sheet(images, example_scores(), rank_images(example_scores(), 1), {0, 1});
  EXPECT_EQ(images.loaded, (std::set<std::int64_t>{0}));
}

TEST(PrototypeSheet, SaysWhatIsWrong) {
  const torch::Tensor scores = example_scores();
  const ImageRanking ranking = rank_images(scores, 2);
  const Images images(std::vector<Image>(3, Image(2, 2)));
  EXPECT_EQ(error_text<c10::ValueError>([&] { rank_images(scores[0], 1); }),
            "rank_images: expected scores [N,K,h,w], none of them 0, got [2, 1, 4]");
  EXPECT_EQ(error_text<c10::TypeError>([&] { rank_images(scores.to(torch::kInt), 1); }),
            "rank_images: expected floating scores, got Int");
  EXPECT_EQ(error_text<c10::ValueError>([&] { rank_images(scores, 4); }),
            "rank_images: expected top in 1 to 3, the number of images, got 4");
  EXPECT_EQ(error_text<c10::ValueError>([&] { tint_winning_region(scores, 0, Image(2, 2)); }),
            "tint_winning_region: expected scores [K,h,w], got [3, 2, 1, 4]");
  EXPECT_EQ(error_text<c10::ValueError>([&] { tint_winning_region(scores[0], 2, Image(2, 2)); }),
            "tint_winning_region: expected a prototype in 0 to 1, got 2");
  EXPECT_EQ(error_text<c10::ValueError>([&] { tint_winning_region(scores[0], 0, Image()); }),
            "tint_winning_region: expected an image with pixels");
  EXPECT_EQ(error_text<std::invalid_argument>(
                [&] { tint_winning_region(scores[0], 0, Image(2, 2), 2.0); }),
            "tint_winning_region: expected an image weight in [0,1], got 2");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              prototype_sheet(images, scores, ranking, {0, 2});
            }),
            "prototype_sheet: expected prototypes in 0 to 1, got 2");
  EXPECT_EQ(error_text<c10::ValueError>(
                [&] { prototype_sheet(Images({Image(2, 2)}), scores, ranking, {0}); }),
            "prototype_sheet: expected 3 images, one for each map of scores, got 1");
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              prototype_sheet(images, scores, rank_images(scores.narrow(1, 0, 1), 2), {0});
            }),
            "prototype_sheet: expected a ranking for 2 prototypes, got order [1, 2]");
}
