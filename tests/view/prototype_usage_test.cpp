#include <gtest/gtest.h>
#include <slotcon/view/prototype_usage.h>

#include <vector>

#include "tests/support/error_text.h"

using slotcon::view::prototype_usage;

TEST(PrototypeUsage, IsTheMeanShareOfPositions) {
  // Image 0 of 4 positions: 0 wins two, 2 one, and of the equal 0 and 1 the lower. Image 1 of 2: 1
  // wins both.
  const auto first = torch::tensor({0.9, 0.8, 0.1, 0.5, 0.2, 0.3, 0.2, 0.5, 0.0, 0.1, 0.7, 0.4});
  const auto second = torch::tensor({0.1, 0.2, 0.9, 0.8, 0.3, 0.3});
  EXPECT_EQ(prototype_usage({first.view({3, 2, 2}), second.view({3, 1, 2})}),
            (std::vector<double>{0.375, 0.5, 0.125}));
}

TEST(PrototypeUsage, CountsTheDeadToo) {
  auto scores = torch::zeros({5, 3, 3}, torch::kHalf);
  scores[4].fill_(1);
  EXPECT_EQ(prototype_usage({scores}), (std::vector<double>{0, 0, 0, 0, 1}));
}

TEST(PrototypeUsage, SaysWhatIsWrong) {
  EXPECT_EQ(error_text<c10::ValueError>([] { prototype_usage({}); }),
            "prototype_usage: expected the scores of an image or more");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              prototype_usage({torch::zeros({2, 3})});
            }),
            "prototype_usage: expected scores [K,h,w] with one K, got [2, 3]");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              prototype_usage({torch::zeros({2, 1, 1}), torch::zeros({3, 1, 1})});
            }),
            "prototype_usage: expected scores [K,h,w] with one K, got [3, 1, 1]");
}
