#include <gtest/gtest.h>
#include <slotcon/eval/upsample_argmax.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::eval::upsample_argmax;

namespace {

torch::Tensor hashed_scores(std::vector<std::int64_t> shape) {
  const std::int64_t count = torch::zeros(shape).numel();
  std::vector<double> values;
  for (std::uint32_t i = 0; i < count; ++i) values.push_back(hashed(i) / 65536.0);
  return torch::tensor(values, torch::kFloat).view(shape);
}

}  // namespace

TEST(UpsampleArgmax, EqualsBilinearInterpolationInNumpy) {
  // From generate_upsample_argmax.py; the two highest maps are at least 6e-4 apart everywhere.
  const std::vector<std::string> expected{"2211122221", "2211122221", "2211122211", "2211122211",
                                          "1111222211", "1110222211", "1102222222", "1002221222"};
  const torch::Tensor winners = upsample_argmax(hashed_scores({1, 3, 3, 4}), 8, 10);
  ASSERT_EQ(winners.sizes(), (torch::IntArrayRef{1, 8, 10}));
  ASSERT_EQ(winners.scalar_type(), torch::kLong);
  for (std::int64_t y = 0; y < 8; ++y) {
    for (std::int64_t x = 0; x < 10; ++x) {
      const int winner = expected[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] - '0';
      EXPECT_EQ(winners[0][y][x].item<int>(), winner) << y << ", " << x;
    }
  }
}

TEST(UpsampleArgmax, IsTheArgmaxAtTheSizeOfTheScores) {
  const torch::Tensor scores = hashed_scores({3, 5, 6, 7});
  EXPECT_TRUE(upsample_argmax(scores, 6, 7).equal(scores.argmax(1)));
}

TEST(UpsampleArgmax, TreatsEachImageByItself) {
  const torch::Tensor scores = hashed_scores({3, 5, 4, 4});
  const torch::Tensor all = upsample_argmax(scores, 9, 11);
  for (std::int64_t image = 0; image < 3; ++image) {
    EXPECT_TRUE(all.narrow(0, image, 1).equal(upsample_argmax(scores.narrow(0, image, 1), 9, 11)));
  }
  EXPECT_EQ(upsample_argmax(scores.narrow(0, 0, 0), 9, 11).sizes(), (torch::IntArrayRef{0, 9, 11}));
}

TEST(UpsampleArgmax, GivesTiesToTheLowerMap) {
  EXPECT_EQ(upsample_argmax(torch::ones({1, 4, 2, 2}), 5, 5).max().item<std::int64_t>(), 0);
}

TEST(UpsampleArgmax, TakesAnyFloatingTypeAndLayout) {
  const torch::Tensor scores =
      (hashed_scores({2, 3, 4, 5}) * 64).floor() / 64;  // exact in bfloat16
  const torch::Tensor expected = upsample_argmax(scores, 9, 7);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(upsample_argmax(scores.to(type), 9, 7).equal(expected)) << type;
  }
  const torch::Tensor transposed = scores.transpose(2, 3).contiguous().transpose(2, 3);
  EXPECT_TRUE(upsample_argmax(transposed, 9, 7).equal(expected));
}

TEST(UpsampleArgmax, SaysWhatIsWrong) {
  EXPECT_EQ(error_text<c10::ValueError>([] {
              upsample_argmax(torch::zeros({3, 4, 4}), 8, 8);
            }),
            "upsample_argmax: expected scores [N,K,h,w], got [3, 4, 4]");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              upsample_argmax(torch::zeros({1, 0, 4, 4}), 8, 8);
            }),
            "upsample_argmax: expected scores [N,K,h,w], got [1, 0, 4, 4]");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              upsample_argmax(torch::zeros({1, 3, 4, 4}), 8, 0);
            }),
            "upsample_argmax: expected a positive height and width, got 8 x 0");
  EXPECT_EQ(error_text<c10::TypeError>([] {
              upsample_argmax(torch::zeros({1, 3, 4, 4}, torch::kInt), 8, 8);
            }),
            "upsample_argmax: expected floating scores, got Int");
}
