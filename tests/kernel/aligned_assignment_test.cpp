#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/inverse_augmentation.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernel/fused.h"
#include "tests/support/boxes.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/peak_memory.h"
#include "tests/support/tolerance.h"

using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::ViewGeometry;
using slotcon::functional::aligned_assignment_cross_entropy;
using slotcon::functional::assignment_cross_entropy;
using slotcon::functional::inverse_augment;
using slotcon::kernel::aligned_assignment::choose;
using slotcon::testing::as_accurate;
using slotcon::testing::Autocast;
using slotcon::testing::box;
using slotcon::testing::close;
using slotcon::testing::flags;
using slotcon::testing::floats;
using slotcon::testing::Forced;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::instruction_sets;
using slotcon::testing::memory_growth;
using slotcon::testing::noise;
using slotcon::testing::random_boxes;
using slotcon::testing::Tensors;
using slotcon::testing::Threads;
using slotcon::testing::unusual_boxes;
using torch::autograd::grad;

namespace {

/// What one call takes, the scores as cosines.
struct Problem {
  torch::Tensor student, teacher, center;
  ViewGeometry student_view, teacher_view;
  double student_temperature = 0.1, teacher_temperature = 0.07;
};

/// Boxes of any size within the view, a third of the images mirrored.
ViewGeometry geometry(std::int64_t images, std::uint64_t seed) {
  return {random_boxes(images, seed), noise({images}, seed + 1) > 0.4};
}

Problem problem(at::IntArrayRef sizes) {
  const auto scores = [&](std::uint64_t seed) { return (0.5 * floats(sizes, seed)).tanh(); };
  const auto center = 0.1 * floats({1, sizes[1]}, 3);
  return {scores(1), scores(2), center, geometry(sizes[0], 4), geometry(sizes[0], 6)};
}

AssignmentOptions options(Backend backend) { return AssignmentOptions().backend(backend); }

torch::Tensor loss_of(const Problem& problem, const torch::Tensor& student, Backend backend) {
  return aligned_assignment_cross_entropy(student, problem.teacher.to(student.scalar_type()),
                                          problem.student_view, problem.teacher_view,
                                          problem.center,
                                          options(backend)
                                              .student_temperature(problem.student_temperature)
                                              .teacher_temperature(problem.teacher_temperature));
}

struct Result {
  torch::Tensor loss, gradient;
};

Result run(const Problem& problem, Backend backend, at::ScalarType type = torch::kFloat) {
  const auto student = problem.student.to(type).clone().requires_grad_();
  const auto loss = loss_of(problem, student, backend);
  (3 * loss).backward();
  return {loss.detach(), student.grad()};
}

void expect_accurate(const Problem& problem) {
  const auto exact = run(problem, Backend::kReference, torch::kDouble);
  const auto reference = run(problem, Backend::kReference);
  const auto fused = run(problem, Backend::kFused);
  // A gradient sums differences of probabilities, times 3 / (temperature B H W), over the samples
  // of a pixel.
  const auto positions = static_cast<double>(problem.student.numel() / problem.student.size(1));
  const double term = 3 / problem.student_temperature / positions;
  EXPECT_TRUE(
      as_accurate(fused.loss, reference.loss, exact.loss, 2, 1 + exact.loss.item<double>()));
  EXPECT_TRUE(as_accurate(fused.gradient, reference.gradient, exact.gradient, 3,
                          term + exact.gradient.abs().max().item<double>()));
}

void expect_equal(const Result& a, const Result& b) {
  EXPECT_TRUE(at::equal(a.loss, b.loss));
  EXPECT_TRUE(at::equal(a.gradient, b.gradient));
}

}  // namespace

// ---- The reference: inverse augmentation, then the cross entropy ----

TEST(AlignedAssignment, ReferenceIsTheCrossEntropyOfAlignedMaps) {
  const auto some = problem({3, 5, 4, 6});
  const auto student = some.student.to(torch::kDouble), teacher = some.teacher.to(torch::kDouble);
  const auto aligned = [](const torch::Tensor& maps, const ViewGeometry& view) {
    return inverse_augment(maps, view.boxes, view.flipped);
  };
  const auto expected = assignment_cross_entropy(aligned(student, some.student_view),
                                                 aligned(teacher, some.teacher_view), some.center);
  EXPECT_TRUE(close(loss_of(some, student, Backend::kReference), expected));
}

TEST(AlignedAssignment, DerivativesMatchCentralDifferences) {
  const auto some = problem({2, 4, 3, 2});
  const auto f = [&](const Tensors& a) { return loss_of(some, a[0], Backend::kAuto); };
  EXPECT_TRUE(gradcheck(f, {noise({2, 4, 3, 2}, 1).tanh()}));
  EXPECT_TRUE(gradgradcheck(f, {noise({2, 4, 3, 2}, 1).tanh()}));
}

TEST(AlignedAssignment, NothingButTheStudentTakesAGradient) {
  for (const auto backend : {Backend::kReference, Backend::kFused}) {
    auto some = problem({2, 4, 3, 2});
    for (auto* tensor : {&some.student, &some.teacher, &some.center, &some.student_view.boxes}) {
      tensor->requires_grad_();
    }
    loss_of(some, some.student, backend).backward();
    EXPECT_TRUE(some.student.grad().defined());
    EXPECT_FALSE(some.teacher.grad().defined());
    EXPECT_FALSE(some.center.grad().defined());
    EXPECT_FALSE(some.student_view.boxes.grad().defined());
  }
}

// ---- The fused kernel: accuracy ----

TEST(FusedAlignedAssignment, IsAsAccurateAsTheReferenceAtAnySize) {
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{1, 1, 1, 1},
                                                                  {2, 1, 3, 2},
                                                                  {1, 2, 1, 7},
                                                                  {3, 5, 7, 1},
                                                                  {2, 16, 4, 4},
                                                                  {2, 33, 5, 3},
                                                                  {5, 63, 7, 7},
                                                                  {2, 64, 7, 7},
                                                                  {2, 257, 9, 8},
                                                                  {1, 4096, 3, 5},
                                                                  {1, 19, 64, 64},
                                                                  {2, 2048, 14, 14}}) {
    SCOPED_TRACE(::testing::PrintToString(sizes));
    expect_accurate(problem(sizes));
  }
}

TEST(FusedAlignedAssignment, EveryInstructionSetIsAsAccurate) {
  for (const auto set : instruction_sets()) {
    const Forced forced(set);
    for (const auto& sizes : std::vector<std::vector<std::int64_t>>{
             {1, 1, 1, 1}, {2, 33, 5, 3}, {3, 130, 7, 7}, {1, 300, 4, 17}}) {
      SCOPED_TRACE(::testing::PrintToString(sizes));
      expect_accurate(problem(sizes));
    }
  }
}

TEST(FusedAlignedAssignment, TakesEveryBox) {
  for (const auto& student_box : unusual_boxes()) {
    for (const bool flipped : {false, true}) {
      auto some = problem({1, 20, 5, 7});
      some.student_view = {student_box, flags({flipped})};
      SCOPED_TRACE(::testing::Message() << student_box << flipped);
      expect_accurate(some);
      std::swap(some.student_view, some.teacher_view);
      expect_accurate(some);
    }
  }
}

TEST(FusedAlignedAssignment, TakesScoresOfAnySizeAndSharpTemperatures) {
  for (const double scale : {0.0, 30.0, 3000.0}) {
    auto some = problem({2, 40, 3, 4});
    some.student = some.student * scale;
    some.teacher = some.teacher * scale;
    SCOPED_TRACE(scale);
    expect_accurate(some);
  }
  for (const double temperature : {1e-3, 5.0}) {
    auto some = problem({2, 40, 3, 4});
    some.student_temperature = temperature;
    some.teacher_temperature = 0.7 * temperature;
    SCOPED_TRACE(temperature);
    expect_accurate(some);
  }
}

TEST(FusedAlignedAssignment, DisjointViewsCostLogKAndTeachNothing) {
  auto some = problem({1, 6, 4, 4});
  some.center.zero_();
  some.student_view.boxes = box(0.5, 0.5, 0.5, 0.9);
  some.teacher_view.boxes = box(0.5, 0.5, 0.5, 0.9);
  const auto result = run(some, Backend::kFused);
  EXPECT_TRUE(close(result.loss, torch::tensor(std::log(6.0))));
  EXPECT_TRUE(at::equal(result.gradient, torch::zeros({1, 6, 4, 4})));
}

TEST(FusedAlignedAssignment, ReadsAnyMemoryLayout) {
  for (const std::int64_t channels : {20, 64}) {  // rows that need padding, and that do not
    const auto plain = problem({2, channels, 5, 7});
    auto strided = plain;
    strided.student = plain.student.contiguous(at::MemoryFormat::ChannelsLast);
    strided.teacher = plain.teacher.transpose(2, 3).contiguous().transpose(2, 3);
    strided.student_view.boxes = plain.student_view.boxes.t().contiguous().t();
    const auto result = run(strided, Backend::kFused);
    expect_equal(result, run(plain, Backend::kFused));
    EXPECT_TRUE(result.gradient.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST(FusedAlignedAssignment, ResultDoesNotDependOnTheRunOrTheThreads) {
  for (const std::int64_t images : {1, 5}) {  // fewer than threads: the positions are shared
    const auto some = problem({images, 130, 9, 11});
    const auto first = run(some, Backend::kFused);
    for (const int count : {1, 2, 3}) {
      const Threads threads(count);
      expect_equal(run(some, Backend::kFused), first);
    }
  }
}

TEST(FusedAlignedAssignment, WithoutGradientTheLossIsTheSame) {
  const auto some = problem({2, 20, 5, 7});
  const auto loss = loss_of(some, some.student, Backend::kFused);
  EXPECT_FALSE(loss.requires_grad());
  EXPECT_TRUE(at::equal(loss, run(some, Backend::kFused).loss));
}

TEST(FusedAlignedAssignment, HalfTypesAreComputedInFloat32) {
  auto some = problem({2, 20, 5, 7});
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    some.student = some.student.to(type).to(torch::kFloat);
    some.teacher = some.teacher.to(type).to(torch::kFloat);
    const auto expected = run(some, Backend::kFused);
    const auto result = run(some, Backend::kFused, type);
    EXPECT_EQ(result.loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(at::equal(result.loss, expected.loss)) << type;
    EXPECT_TRUE(close(result.gradient, expected.gradient)) << type;
  }
}

TEST(FusedAlignedAssignment, AutocastChangesNothing) {
  const auto some = problem({2, 20, 5, 7});
  const auto expected = run(some, Backend::kFused);
  const Autocast autocast;
  expect_equal(run(some, Backend::kFused), expected);
}

TEST(FusedAlignedAssignment, NothingToCompareIsZeroWithAValidGraph) {
  for (const auto& sizes :
       std::vector<std::vector<std::int64_t>>{{0, 4, 3, 3}, {2, 4, 0, 3}, {2, 4, 3, 0}}) {
    const auto result = run(problem(sizes), Backend::kFused);
    EXPECT_EQ(result.loss.item<float>(), 0);
    EXPECT_EQ(result.gradient.sizes(), at::IntArrayRef(sizes));
  }
}

// ---- Memory ----

TEST(FusedAlignedAssignment, StoresNoAlignedMap) {
  const auto some = problem({6, 40, 9, 11});
  const auto student = some.student.clone().requires_grad_();
  const auto maps = static_cast<std::int64_t>(student.nbytes());
  constexpr std::int64_t kNumbers = 4096;
  // The gradient is computed with the loss and scaled into another tensor.
  const auto with_gradient =
      memory_growth([&] { grad({loss_of(some, student, Backend::kFused)}, {student}); });
  EXPECT_LE(with_gradient.peak, 2 * maps + kNumbers);
  const auto without = memory_growth([&] { loss_of(some, some.student, Backend::kFused); });
  EXPECT_LE(without.peak, kNumbers);
}

TEST(FusedAlignedAssignment, HoldsNoMemoryAfterTheBackwardPass) {
  const auto some = problem({2, 20, 5, 7});
  const auto student = some.student.clone().requires_grad_();
  torch::Tensor loss;
  const auto growth = memory_growth([&] {
    loss = loss_of(some, student, Backend::kFused);
    grad({loss}, {student});
  });
  EXPECT_EQ(growth.kept, static_cast<std::int64_t>(loss.nbytes()));
}

// ---- What it refuses ----

TEST(FusedAlignedAssignment, SecondDerivativeByAnythingNamesTheReference) {
  const auto some = problem({2, 4, 3, 2});
  const auto student = some.student.clone().requires_grad_();
  const auto incoming = torch::ones({}).requires_grad_();
  const auto gradient = grad({loss_of(some, student, Backend::kFused)}, {student}, {incoming},
                             /*retain_graph=*/true, /*create_graph=*/true)[0];
  for (const auto& second : {student, incoming}) {
    EXPECT_EQ(error_text<c10::NotImplementedError>(
                  [&] { grad({gradient.square().sum()}, {second}, {}, /*retain_graph=*/true); }),
              "aligned_assignment_cross_entropy: double backward needs Backend::kReference");
  }
}

TEST(ChooseAlignedAssignment, TakesFloat32OnTheCpu) {
  const auto scores = torch::zeros({2, 4, 3, 3});
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    EXPECT_TRUE(choose(scores.to(type)).fused) << type;
  }
  EXPECT_EQ(choose(scores.to(torch::kDouble)).why_not, "no kernel for Double on cpu");
  EXPECT_EQ(choose(scores.to(torch::kMeta)).why_not, "no kernel for Float on meta");
}

TEST(ChooseAlignedAssignment, AutoFallsBackAndFusedSaysWhyNot) {
  const auto some = problem({2, 4, 3, 2});
  const auto by = [&](Backend backend) {
    return loss_of(some, some.student.to(torch::kDouble), backend);
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto), by(Backend::kReference)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused); }),
            "aligned_assignment_cross_entropy: Backend::kFused is unavailable: no kernel for "
            "Double on cpu");
}

TEST(AlignedAssignment, SaysWhatDoesNotFit) {
  const auto says = [](const Problem& wrong) {
    return error_text<c10::ValueError>([&] { loss_of(wrong, wrong.student, Backend::kAuto); });
  };
  const std::string who = "aligned_assignment_cross_entropy: ";
  const auto right = problem({2, 4, 3, 3});
  auto wrong = right;
  wrong.student = torch::zeros({2, 4, 3});
  EXPECT_EQ(says(wrong), who + "expected scores [B,K,H,W] with K >= 1, got [2, 4, 3]");
  wrong = right;
  wrong.teacher = torch::zeros({2, 5, 3, 3});
  EXPECT_EQ(says(wrong), who +
                             "expected student and teacher scores of one shape, got [2, 4, 3, 3] "
                             "and [2, 5, 3, 3]");
  wrong = right;
  wrong.teacher_view.boxes = torch::zeros({3, 4});
  EXPECT_EQ(says(wrong), who + "expected boxes [2, 4], got [3, 4]");
  wrong = right;
  wrong.student_view.flipped = torch::zeros({3}, torch::kBool);
  EXPECT_EQ(says(wrong), who + "expected flipped [2], got [3]");
  wrong = right;
  wrong.center = torch::zeros({4});
  EXPECT_EQ(says(wrong), who + "expected center [1, 4], got [4]");
  wrong = right;
  wrong.center = torch::zeros({1, 4}, torch::kMeta);
  EXPECT_EQ(says(wrong), who + "expected center on cpu, got meta");
  wrong = right;
  wrong.student_temperature = 0;
  EXPECT_EQ(says(wrong), who +
                             "expected student_temperature > 0 and teacher_temperature > 0, got "
                             "0 and 0.07");
  wrong = right;
  wrong.student_view.flipped = torch::zeros({2});
  EXPECT_EQ(error_text<c10::TypeError>([&] { loss_of(wrong, wrong.student, Backend::kAuto); }),
            who + "expected flipped of dtype Bool, got Float");
}
