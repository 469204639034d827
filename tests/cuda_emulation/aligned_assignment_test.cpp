// The CUDA kernels of the assignment distillation, emulated, against the reference in float64.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tests/cuda/aligned_assignment_cases.h"
#include "tests/cuda_emulation/emulated.h"
#include "tests/cuda_emulation/schedules.h"

namespace emulation = slotcon::emulation;
using emulation::kSchedules;
using slotcon::testing::within;
using slotcon::testing::aligned_assignment::Case;
using slotcon::testing::aligned_assignment::equal;
using slotcon::testing::aligned_assignment::fused;
using slotcon::testing::aligned_assignment::Judge;
using slotcon::testing::aligned_assignment::reference;
using slotcon::testing::aligned_assignment::Results;
using slotcon::testing::aligned_assignment::Sizes;

namespace {

Results emulated(const Case& c) { return fused(c, at::kCPU); }

testing::AssertionResult as_exact_as_the_reference(const Case& c) {
  return Judge(c).as_exact_as_the_reference(emulated(c));
}

torch::Tensor boxes(double x1, double y1, double x2, double y2, std::int64_t images) {
  return at::tensor({x1, y1, x2, y2}, at::kFloat).expand({images, 4}).contiguous();
}

class AlignedAssignmentCuda : public emulation::Test {};

}  // namespace

// ---- Values and gradients ----

TEST_F(AlignedAssignmentCuda, IsAsExactAsTheReferenceAtEveryTail) {
  constexpr std::int64_t kHeights[] = {1, 3, 7}, kWidths[] = {7, 1, 5, 2};
  for (std::int64_t prototypes = 1; prototypes <= 140; prototypes += 1 + prototypes / 12) {
    const Sizes sizes{1 + prototypes % 3, prototypes, kHeights[prototypes % 3],
                      kWidths[prototypes % 4]};
    EXPECT_TRUE(as_exact_as_the_reference(Case(sizes))) << sizes;
  }
}

TEST_F(AlignedAssignmentCuda, IsAsExactAsTheReferenceAtLargeSizes) {
  for (const auto& sizes : {Sizes{4, 256, 7, 7}, Sizes{2, 512, 5, 4}, Sizes{2, 513, 4, 5},
                            Sizes{1, 2048, 7, 7}, Sizes{1, 1030, 3, 40}, Sizes{1, 12, 33, 65}}) {
    EXPECT_TRUE(as_exact_as_the_reference(Case(sizes))) << sizes;
  }
}

TEST_F(AlignedAssignmentCuda, ManyPositionsAreSummedInParts) {
  const Case c({3, 2, 37, 41});  // more than kNumbersOfPart
  EXPECT_TRUE(as_exact_as_the_reference(c));
}

TEST_F(AlignedAssignmentCuda, OtherTemperaturesAndScoresOfAnySize) {
  for (const double temperature : {0.004, 0.04, 5.0}) {
    Case c({2, 37, 4, 5});
    c.temperatures = {temperature, temperature / 2};
    EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature;
    c.student.scores = 40 * c.student.scores + 300;
    c.teacher.scores = 40 * c.teacher.scores - 300;
    c.center = 30 * c.center;
    EXPECT_TRUE(as_exact_as_the_reference(c)) << temperature;
  }
}

TEST_F(AlignedAssignmentCuda, TheGradientIsComputedOnlyWhenAskedFor) {
  const Case c({2, 37, 4, 5});
  const auto without = fused(c, at::kCPU, /*with_gradient=*/false);
  EXPECT_TRUE(at::equal(without.loss, emulated(c).loss));
  EXPECT_FALSE(without.gradient.defined());
}

// ---- Boxes ----

TEST_F(AlignedAssignmentCuda, EveryKindOfBoxIsSampledAsTheReferenceSamplesIt) {
  const double above = std::nextafter(1.0f, 2.0f);  // larger than the map by a rounding
  for (const auto& box :
       {boxes(0, 0, 1, 1, 2), boxes(0, 0, above, 1, 2), boxes(0, 0, 1, above, 2),
        boxes(0, 0, above, above, 2), boxes(0.3, 0.2, 0.3001, 0.9, 2),
        boxes(0.7, 0.9, 0.2, 0.95, 2), boxes(-0.4, -0.3, 1.5, 1.2, 2), boxes(0, 0, 4, 4, 2)}) {
    for (const bool flipped : {false, true}) {
      Case c({2, 12, 5, 7});
      c.student.boxes = box;
      c.student.flipped = at::full({2}, flipped, at::kBool);
      // The same samples as in float32: in float64 a box may not be the same number.
      const auto expected = reference(c, at::kFloat), result = emulated(c);
      EXPECT_TRUE(within(result.loss, expected.loss, 1e-6)) << box << flipped;
      EXPECT_TRUE(within(result.gradient, expected.gradient, 1e-6)) << box << flipped;
    }
  }
}

TEST_F(AlignedAssignmentCuda, ViewsThatShareNothingAlignToZeros) {
  Case c({2, 37, 4, 5});
  c.student.boxes.zero_();
  const auto results = emulated(c);
  EXPECT_TRUE(Judge(c).as_exact_as_the_reference(results));
  EXPECT_TRUE(within(results.loss, at::full({}, std::log(37.0)), 1e-5));
  EXPECT_TRUE(at::equal(results.gradient, at::zeros_like(results.gradient)));
  c.teacher.boxes.zero_();
  EXPECT_TRUE(as_exact_as_the_reference(c));
}

TEST_F(AlignedAssignmentCuda, NotANumberStaysInItsImage) {
  Case c({2, 37, 4, 5});
  const auto expected = emulated(c);
  c.student.boxes[0] = at::tensor({0, 0, 1, 1}, at::kFloat);
  c.student.scores[0] = std::nan("");
  const auto results = emulated(c);
  EXPECT_TRUE(results.loss.isnan().item<bool>());
  EXPECT_TRUE(results.gradient[0].isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(results.gradient[1], expected.gradient[1]));
}

// ---- Layouts ----

TEST_F(AlignedAssignmentCuda, EveryLayoutGivesTheSameBits) {
  const Case c({3, 37, 4, 5});
  const auto expected = emulated(c);
  Case other = c;
  for (auto* view : {&other.student, &other.teacher}) {
    view->scores = view->scores.contiguous(at::MemoryFormat::ChannelsLast);
    view->boxes = view->boxes.t().contiguous().t();
  }
  EXPECT_TRUE(equal(emulated(other), expected));
  EXPECT_TRUE(expected.gradient.is_contiguous(at::MemoryFormat::ChannelsLast));
}

// ---- What the emulation is for ----

TEST_F(AlignedAssignmentCuda, EveryScheduleGivesTheSameBits) {
  for (const auto& sizes : {Sizes{2, 37, 4, 5}, Sizes{1, 1028, 3, 4}}) {
    const Case c(sizes);
    const auto expected = emulated(c);
    for (const auto schedule : kSchedules) {
      const emulation::With order(schedule);
      EXPECT_TRUE(equal(emulated(c), expected)) << sizes << " " << schedule;
    }
  }
}

namespace {

/// Whether a few cases are right, in which the last of everything counts.
std::function<bool()> all_right() {
  std::vector<Case> cases;
  for (const auto& sizes : {Sizes{1, 36, 5, 7}, Sizes{1, 1026, 2, 3}, Sizes{1, 3, 1, 33}}) {
    cases.emplace_back(sizes);
    cases.back().student.boxes = boxes(0, 0, 1, 1, 1);
    cases.back().teacher.boxes = boxes(0, 0, 1, 1, 1);
  }
  cases.emplace_back(Sizes{2, 12, 4, 5});
  cases.back().student.boxes = boxes(0.1, 0.1, 0.6, 0.6, 2);
  return [cases, judges = std::vector<Judge>(cases.begin(), cases.end())] {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (!judges[i].as_exact_as_the_reference(emulated(cases[i]))) return false;
    }
    return true;
  };
}

}  // namespace

#if defined(SLOTCON_EMULATION_ASAN)
TEST_F(AlignedAssignmentCuda, EveryOverrunIsFound) {
  emulation::expect_every_overrun_is_found(all_right());
}
#else  // a planted bug may read anywhere, where AddressSanitizer would end the test
TEST_F(AlignedAssignmentCuda, EveryPlantedBugIsFound) {
  emulation::expect_every_planted_bug_is_found(all_right());
}
#endif
