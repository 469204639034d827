#include <gtest/gtest.h>
#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/sinkhorn_assignment.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/serialize.h>

#include <array>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::CollectivesPtr;
using slotcon::PrototypeCenter;
using slotcon::PrototypeCenterOptions;
using slotcon::SinkhornAssignment;
using slotcon::SinkhornOptions;
using slotcon::functional::assignment_cross_entropy;
using slotcon::functional::centered_assignment;
using slotcon::functional::sinkhorn_assignment;
using slotcon::functional::soft_cross_entropy;
using slotcon::testing::Autocast;
using slotcon::testing::close;
using slotcon::testing::gradcheck;
using slotcon::testing::gradgradcheck;
using slotcon::testing::noise;
using slotcon::testing::run_group;
using slotcon::testing::Tensors;

namespace {

/// Cosine-like scores: normal noise kept within [-1,1].
torch::Tensor cosines(at::IntArrayRef sizes, std::uint64_t seed) {
  return noise(sizes, seed).tanh();
}

torch::Tensor floats(at::IntArrayRef sizes, std::uint64_t seed) {
  return cosines(sizes, seed).to(torch::kFloat);
}

/// softmax over k of (scores - center) / temperature, of scores [B,K,N], one number at a time in
/// float64.
torch::Tensor assignment_by_loops(const torch::Tensor& scores, const torch::Tensor& center,
                                  double temperature) {
  const auto scores64 = scores.to(torch::kDouble);
  const auto center64 = center.to(torch::kDouble);
  const auto s = scores64.accessor<double, 3>();
  const auto c = center64.accessor<double, 2>();
  const auto result = torch::zeros(scores.sizes(), torch::kDouble);
  auto t = result.accessor<double, 3>();
  for (std::int64_t b = 0; b < s.size(0); ++b) {
    for (std::int64_t n = 0; n < s.size(2); ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < s.size(1); ++k)
        sum += std::exp((s[b][k][n] - c[0][k]) / temperature);
      for (std::int64_t k = 0; k < s.size(1); ++k) {
        t[b][k][n] = std::exp((s[b][k][n] - c[0][k]) / temperature) / sum;
      }
    }
  }
  return result;
}

/// The mean over positions of -sum_k t log softmax_k(student / temperature), one number at a time.
torch::Tensor cross_entropy_by_loops(const torch::Tensor& student, const torch::Tensor& targets,
                                     double temperature) {
  const auto none = torch::zeros({1, student.size(1)});
  const auto assignment = assignment_by_loops(student.detach(), none, temperature);
  const auto p = assignment.accessor<double, 3>();
  const auto targets64 = targets.to(torch::kDouble);
  const auto t = targets64.accessor<double, 3>();
  double sum = 0;
  for (std::int64_t b = 0; b < p.size(0); ++b) {
    for (std::int64_t k = 0; k < p.size(1); ++k) {
      for (std::int64_t n = 0; n < p.size(2); ++n) sum -= t[b][k][n] * std::log(p[b][k][n]);
    }
  }
  return torch::tensor(sum / static_cast<double>(p.size(0) * p.size(2)), torch::kDouble);
}

torch::Tensor loss_by_loops(const torch::Tensor& student, const torch::Tensor& teacher,
                            const torch::Tensor& center) {
  return cross_entropy_by_loops(student, assignment_by_loops(teacher, center, 0.07), 0.1);
}

/// Q = exp(scores / temperature), then sums over positions and over prototypes divided out in
/// turns.
torch::Tensor sinkhorn_by_loops(const torch::Tensor& scores, double temperature, int iterations) {
  const auto result = scores.to(torch::kDouble).clone();
  auto q = result.accessor<double, 3>();
  const auto images = q.size(0), prototypes = q.size(1), positions = q.size(2);
  for (std::int64_t b = 0; b < images; ++b) {
    for (std::int64_t k = 0; k < prototypes; ++k) {
      for (std::int64_t n = 0; n < positions; ++n) q[b][k][n] = std::exp(q[b][k][n] / temperature);
    }
  }
  for (int i = 0; i < iterations; ++i) {
    for (std::int64_t k = 0; k < prototypes; ++k) {
      double sum = 0;
      for (std::int64_t b = 0; b < images; ++b) {
        for (std::int64_t n = 0; n < positions; ++n) sum += q[b][k][n];
      }
      for (std::int64_t b = 0; b < images; ++b) {
        for (std::int64_t n = 0; n < positions; ++n) q[b][k][n] /= sum;
      }
    }
    for (std::int64_t b = 0; b < images; ++b) {
      for (std::int64_t n = 0; n < positions; ++n) {
        double sum = 0;
        for (std::int64_t k = 0; k < prototypes; ++k) sum += q[b][k][n];
        for (std::int64_t k = 0; k < prototypes; ++k) q[b][k][n] /= sum;
      }
    }
  }
  return result;
}

/// The mean score of each prototype over images and positions, [1,K] in float64.
torch::Tensor mean_score(const torch::Tensor& scores) {
  return scores.to(torch::kDouble).flatten(2).mean(2).mean(0, /*keepdim=*/true);
}

PrototypeCenter center_of(std::int64_t num_prototypes, double momentum = 0.9) {
  return PrototypeCenter(PrototypeCenterOptions(num_prototypes).momentum(momentum));
}

}  // namespace

// ---- The teacher's assignment ----

TEST(CenteredAssignment, HandComputedCase) {
  const double nine = 0.07 * std::log(9.0);
  const auto scores = torch::tensor({{{nine, 0.3}, {0.0, 0.2}}}, torch::kDouble);
  const auto center = torch::tensor({{0.0, -0.1}}, torch::kDouble);  // 0.1 to the second prototype
  const auto assigned = centered_assignment(scores, center);
  const double odds = 9 * std::exp(-0.1 / 0.07);
  EXPECT_TRUE(close(assigned, torch::tensor({{{odds / (1 + odds), 0.5}, {1 / (1 + odds), 0.5}}},
                                            torch::kDouble)));
}

TEST(CenteredAssignment, MatchesScalarLoopsAndSumsToOne) {
  const auto scores = cosines({2, 5, 6}, 1);
  const auto center = 0.3 * cosines({1, 5}, 2);
  const auto assigned =
      centered_assignment(scores, center, AssignmentOptions().teacher_temperature(0.2));
  EXPECT_TRUE(close(assigned, assignment_by_loops(scores, center, 0.2)));
  EXPECT_TRUE(close(assigned.sum(1), torch::ones({2, 6}, torch::kDouble)));
}

TEST(CenteredAssignment, CarriesNoGradient) {
  const auto scores = cosines({2, 5, 6}, 1).requires_grad_();
  const auto center = torch::zeros({1, 5}, torch::kDouble).requires_grad_();
  EXPECT_FALSE(centered_assignment(scores, center).requires_grad());
}

TEST(CenteredAssignment, HalfTypesAreComputedInFloat32) {
  const auto center = 0.3 * floats({1, 5}, 2);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto scores = cosines({2, 5, 6}, 1).to(type);
    const auto assigned = centered_assignment(scores, center);
    EXPECT_EQ(assigned.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(assigned, assignment_by_loops(scores, center, 0.07))) << type;
  }
}

TEST(CenteredAssignment, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef scores, at::IntArrayRef center) {
    return error_text<c10::ValueError>(
        [&] { centered_assignment(torch::zeros(scores), torch::zeros(center)); });
  };
  EXPECT_EQ(says({3}, {1, 3}),
            "centered_assignment: expected scores [B,K,*spatial] with K >= 1, got [3]");
  EXPECT_EQ(says({2, 0, 3}, {1, 0}),
            "centered_assignment: expected scores [B,K,*spatial] with K >= 1, got [2, 0, 3]");
  EXPECT_EQ(says({2, 3, 4}, {3}), "centered_assignment: expected center [1, 3], got [3]");
  EXPECT_EQ(says({2, 3, 4}, {2, 3}), "centered_assignment: expected center [1, 3], got [2, 3]");
  EXPECT_EQ(says({2, 3, 4}, {1, 4}), "centered_assignment: expected center [1, 3], got [1, 4]");
  EXPECT_EQ(
      error_text<c10::ValueError>([] {
        centered_assignment(torch::zeros({2, 3, 4}), torch::zeros({1, 3}),
                            AssignmentOptions().teacher_temperature(0));
      }),
      "centered_assignment: expected student_temperature > 0 and teacher_temperature > 0, got 0.1 "
      "and 0");
  EXPECT_EQ(error_text<c10::TypeError>([] {
              centered_assignment(torch::zeros({2, 3, 4}, torch::kInt), torch::zeros({1, 3}));
            }),
            "centered_assignment: expected a floating dtype, got Int");
}

// ---- The loss: values ----

TEST(AssignmentCrossEntropy, HandComputedCase) {
  // Teacher 3/4, 1/4; student 1/5, 4/5.
  const auto teacher = torch::tensor({{{0.07 * std::log(3.0)}, {0.0}}}, torch::kDouble);
  const auto student = torch::tensor({{{0.0}, {0.1 * std::log(4.0)}}}, torch::kDouble);
  const auto loss = assignment_cross_entropy(student, teacher, torch::zeros({1, 2}));
  EXPECT_TRUE(
      close(loss, torch::tensor(0.75 * std::log(5.0) + 0.25 * std::log(1.25), torch::kDouble)));
}

TEST(AssignmentCrossEntropy, MatchesScalarLoops) {
  const auto student = cosines({3, 5, 7}, 1);
  const auto teacher = cosines({3, 5, 7}, 2);
  const auto center = 0.3 * cosines({1, 5}, 3);
  const auto loss = assignment_cross_entropy(student, teacher, center);
  EXPECT_EQ(loss.dim(), 0);
  EXPECT_TRUE(close(loss, loss_by_loops(student, teacher, center)));
  const auto other = AssignmentOptions().student_temperature(0.4).teacher_temperature(0.2);
  EXPECT_TRUE(
      close(assignment_cross_entropy(student, teacher, center, other),
            cross_entropy_by_loops(student, assignment_by_loops(teacher, center, 0.2), 0.4)));
}

TEST(AssignmentCrossEntropy, MatchesScalarLoopsInFloat32AtOddAndLargeSizes) {
  for (const auto& [slots, positions] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {17, 49}, {33, 197}, {1025, 9}}) {
    const auto student = floats({2, slots, positions}, 1);
    const auto teacher = floats({2, slots, positions}, 2);
    const auto center = 0.3 * floats({1, slots}, 3);
    const auto expected = loss_by_loops(student, teacher, center);
    const auto loss = assignment_cross_entropy(student, teacher, center);
    EXPECT_EQ(loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(loss, expected)) << slots << " " << positions;
  }
}

TEST(SoftCrossEntropy, MatchesScalarLoopsForAnyTargets) {
  const auto student = cosines({2, 5, 7}, 1);
  const auto targets = noise({2, 5, 7}, 2).abs();
  EXPECT_TRUE(
      close(soft_cross_entropy(student, targets), cross_entropy_by_loops(student, targets, 0.1)));
}

// ---- The loss: gradients ----

TEST(AssignmentCrossEntropy, DerivativesMatchCentralDifferences) {
  const auto teacher = cosines({2, 4, 3}, 2);
  const auto center = 0.3 * cosines({1, 4}, 3);
  const auto f = [&](const Tensors& a) { return assignment_cross_entropy(a[0], teacher, center); };
  EXPECT_TRUE(gradcheck(f, {cosines({2, 4, 3}, 1)}));
  EXPECT_TRUE(gradgradcheck(f, {cosines({2, 4, 3}, 1)}));
}

TEST(AssignmentCrossEntropy, GradientIsTheDifferenceOfAssignments) {
  const auto student = cosines({2, 4, 3}, 1).requires_grad_();
  const auto teacher = cosines({2, 4, 3}, 2);
  const auto center = 0.3 * cosines({1, 4}, 3);
  assignment_cross_entropy(student, teacher, center).backward();
  const auto p = assignment_by_loops(student.detach(), torch::zeros({1, 4}), 0.1);
  const auto t = assignment_by_loops(teacher, center, 0.07);
  EXPECT_TRUE(close(student.grad(), (p - t) / 0.1 / 6));
}

TEST(AssignmentCrossEntropy, NothingButTheStudentTakesAGradient) {
  const auto student = cosines({2, 4, 3}, 1).requires_grad_();
  const auto teacher = cosines({2, 4, 3}, 2).requires_grad_();
  const auto center = torch::zeros({1, 4}, torch::kDouble).requires_grad_();
  assignment_cross_entropy(student, teacher, center).backward();
  soft_cross_entropy(student, teacher).backward();
  EXPECT_TRUE(student.grad().defined());
  EXPECT_FALSE(teacher.grad().defined());
  EXPECT_FALSE(center.grad().defined());
}

// ---- The loss: properties ----

TEST(AssignmentCrossEntropy, StudentThatKnowsNothingPaysLogK) {
  for (const std::int64_t slots : {2, 5, 32}) {
    const auto loss = assignment_cross_entropy(torch::full({2, slots, 7}, 0.4, torch::kDouble),
                                               cosines({2, slots, 7}, 1), torch::zeros({1, slots}));
    EXPECT_TRUE(close(loss, torch::tensor(std::log(static_cast<double>(slots)), torch::kDouble)));
  }
}

TEST(AssignmentCrossEntropy, StudentEqualToTheTeacherPaysItsEntropyAndStands) {
  const auto options = AssignmentOptions().student_temperature(0.2).teacher_temperature(0.2);
  const auto scores = cosines({2, 5, 7}, 1);
  const auto student = scores.clone().requires_grad_();
  const auto loss = assignment_cross_entropy(student, scores, torch::zeros({1, 5}), options);
  loss.backward();
  const auto t = assignment_by_loops(scores, torch::zeros({1, 5}), 0.2);
  EXPECT_TRUE(close(loss, -(t * t.log()).sum(1).mean()));
  EXPECT_LT(student.grad().abs().max().item<double>(), slotcon::testing::tolerance(torch::kDouble));
}

TEST(AssignmentCrossEntropy, ShiftsOfAllPrototypesAndOfTheCentreCancel) {
  const auto student = cosines({2, 5, 7}, 1);
  const auto teacher = cosines({2, 5, 7}, 2);
  const auto center = 0.3 * cosines({1, 5}, 3);
  const auto shift = cosines({1, 5}, 4);
  const auto loss = assignment_cross_entropy(student, teacher, center);
  EXPECT_TRUE(close(assignment_cross_entropy(student + 3, teacher - 2, center), loss));
  EXPECT_TRUE(
      close(assignment_cross_entropy(student, teacher + shift.unsqueeze(2), center + shift), loss));
}

TEST(AssignmentCrossEntropy, SharpTeacherIsOneHot) {
  const auto student = cosines({2, 5, 7}, 1);
  const auto teacher = cosines({2, 5, 7}, 2);
  const auto sharp = AssignmentOptions().teacher_temperature(1e-6);
  const auto winner = teacher.argmax(1, /*keepdim=*/true);
  const auto one_hot = at::zeros_like(teacher).scatter_(1, winner, 1.0);
  EXPECT_TRUE(close(assignment_cross_entropy(student, teacher, torch::zeros({1, 5}), sharp),
                    cross_entropy_by_loops(student, one_hot, 0.1)));
}

TEST(AssignmentCrossEntropy, PermutedPrototypesGiveTheSameLoss) {
  const auto order = torch::tensor({3, 0, 4, 1, 2});
  const auto student = cosines({2, 5, 7}, 1);
  const auto teacher = cosines({2, 5, 7}, 2);
  const auto center = 0.3 * cosines({1, 5}, 3);
  EXPECT_TRUE(
      close(assignment_cross_entropy(student.index_select(1, order), teacher.index_select(1, order),
                                     center.index_select(1, order)),
            assignment_cross_entropy(student, teacher, center)));
}

TEST(AssignmentCrossEntropy, TwoCallsAreBitwiseEqual) {
  const auto student = floats({2, 33, 49}, 1).requires_grad_();
  const auto teacher = floats({2, 33, 49}, 2);
  const auto run = [&] {
    const auto loss = assignment_cross_entropy(student, teacher, torch::zeros({1, 33}));
    return std::pair(loss.detach(), torch::autograd::grad({loss}, {student})[0]);
  };
  const auto a = run(), b = run();
  EXPECT_TRUE(at::equal(a.first, b.first));
  EXPECT_TRUE(at::equal(a.second, b.second));
}

// ---- The loss: edge cases, layouts, types ----

TEST(AssignmentCrossEntropy, NothingToCompareIsZeroWithAValidGraph) {
  for (const auto& sizes :
       std::vector<std::vector<std::int64_t>>{{0, 5, 3, 3}, {2, 5, 0, 3}, {0, 5}}) {
    const auto student = torch::zeros(sizes).requires_grad_();
    const auto loss = assignment_cross_entropy(student, torch::zeros(sizes), torch::zeros({1, 5}));
    EXPECT_EQ(loss.dim(), 0);
    EXPECT_EQ(loss.item<double>(), 0);
    loss.backward();
    EXPECT_EQ(student.grad().sizes(), student.sizes());
  }
}

TEST(AssignmentCrossEntropy, OnePrototypeCostsNothing) {
  const auto student = cosines({2, 1, 7}, 1).requires_grad_();
  const auto loss = assignment_cross_entropy(student, cosines({2, 1, 7}, 2), torch::zeros({1, 1}));
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 0);
  EXPECT_TRUE(at::equal(student.grad(), at::zeros_like(student)));
}

TEST(AssignmentCrossEntropy, AnySpatialShape) {
  const auto student = cosines({2, 4, 24}, 1);
  const auto teacher = cosines({2, 4, 24}, 2);
  const auto center = 0.3 * cosines({1, 4}, 3);
  const auto loss = assignment_cross_entropy(student, teacher, center);
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{2, 4, 4, 6}, {2, 4, 2, 3, 4}}) {
    EXPECT_TRUE(
        close(assignment_cross_entropy(student.view(sizes), teacher.view(sizes), center), loss));
  }
  const auto rows = [](const torch::Tensor& maps) { return maps.transpose(1, 2).reshape({48, 4}); };
  EXPECT_TRUE(close(assignment_cross_entropy(rows(student), rows(teacher), center), loss));
}

TEST(AssignmentCrossEntropy, AnyMemoryLayout) {
  const auto center = 0.3 * floats({1, 5}, 3);
  const auto student = floats({2, 5, 4, 6}, 1);
  const auto teacher = floats({2, 5, 4, 6}, 2);
  const auto loss = assignment_cross_entropy(student, teacher, center);
  const auto channels_last = student.contiguous(torch::MemoryFormat::ChannelsLast);
  const auto strided = at::stack({teacher, -teacher}, 4).select(4, 0);
  EXPECT_TRUE(close(assignment_cross_entropy(channels_last, strided, center), loss));
  const auto one = student.slice(0, 0, 1);
  const auto other = teacher.slice(0, 0, 1);
  EXPECT_TRUE(
      close(assignment_cross_entropy(one.expand({3, 5, 4, 6}), other.expand({3, 5, 4, 6}), center),
            assignment_cross_entropy(one, other, center)));
}

TEST(AssignmentCrossEntropy, HalfTypesAreComputedInFloat32) {
  const auto center = 0.3 * floats({1, 5}, 3);
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto student = cosines({2, 5, 7}, 1).to(type).requires_grad_();
    const auto teacher = cosines({2, 5, 7}, 2).to(type);
    const auto loss = assignment_cross_entropy(student, teacher, center);
    EXPECT_EQ(loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(loss, loss_by_loops(student, teacher, center))) << type;
    loss.backward();
    const auto p = assignment_by_loops(student.detach(), torch::zeros({1, 5}), 0.1);
    const auto t = assignment_by_loops(teacher, center, 0.07);
    EXPECT_TRUE(close(student.grad(), (p - t) / 0.1 / 14)) << type;
  }
}

TEST(AssignmentCrossEntropy, AutocastChangesNothing) {
  const auto student = floats({2, 5, 7}, 1);
  const auto teacher = floats({2, 5, 7}, 2);
  const auto expected = assignment_cross_entropy(student, teacher, torch::zeros({1, 5}));
  const Autocast autocast;
  EXPECT_TRUE(
      at::equal(assignment_cross_entropy(student, teacher, torch::zeros({1, 5})), expected));
}

TEST(AssignmentCrossEntropy, AutoIsFusedInFloat32AndTheReferenceInFloat64) {
  const auto by = [](Backend backend, at::ScalarType type) {
    return assignment_cross_entropy(cosines({2, 5, 7}, 1).to(type), cosines({2, 5, 7}, 2).to(type),
                                    torch::zeros({1, 5}), AssignmentOptions().backend(backend));
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto, torch::kFloat), by(Backend::kFused, torch::kFloat)));
  EXPECT_TRUE(
      at::equal(by(Backend::kAuto, torch::kDouble), by(Backend::kReference, torch::kDouble)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused, torch::kDouble); }),
            "soft_cross_entropy: Backend::kFused is unavailable: no kernel for Double on cpu");
}

TEST(SoftCrossEntropy, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef student, at::IntArrayRef targets,
                       const AssignmentOptions& options = {}) {
    return error_text<c10::ValueError>(
        [&] { soft_cross_entropy(torch::zeros(student), torch::zeros(targets), options); });
  };
  EXPECT_EQ(says({3}, {3}),
            "soft_cross_entropy: expected scores [B,K,*spatial] with K >= 1, got [3]");
  EXPECT_EQ(
      says({2, 3, 4}, {2, 3, 5}),
      "soft_cross_entropy: expected student scores and targets of one shape, got [2, 3, 4] and "
      "[2, 3, 5]");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              soft_cross_entropy(torch::ones({2, 3}), torch::ones({2, 3}, torch::kMeta));
            }),
            "soft_cross_entropy: expected student scores and targets on one device, got cpu and "
            "meta");
  EXPECT_EQ(says({2, 3}, {2, 3}, AssignmentOptions().student_temperature(-1)),
            "soft_cross_entropy: expected student_temperature > 0 and teacher_temperature > 0, got "
            "-1 and "
            "0.07");
  EXPECT_EQ(error_text<c10::TypeError>([] {
              soft_cross_entropy(torch::zeros({2, 3}, torch::kLong), torch::zeros({2, 3}));
            }),
            "soft_cross_entropy: expected a floating dtype, got Long");
}

// ---- The centre ----

TEST(PrototypeCenter, OneStepTakesATenthOfTheMean) {
  auto center = center_of(3);
  EXPECT_TRUE(at::equal(center->center, torch::zeros({1, 3})));
  const auto scores = floats({2, 3, 4, 5}, 1);
  center->update(scores);
  EXPECT_TRUE(close(center->center, 0.1 * mean_score(scores)));
}

TEST(PrototypeCenter, HandComputedMovingAverage) {
  auto center = center_of(2, 0.75);
  center->update(torch::tensor({{{1.0f, 3.0f}, {0.0f, -4.0f}}}));  // means 2, -2
  EXPECT_TRUE(at::equal(center->center, torch::tensor({{0.5f, -0.5f}})));
  center->update(torch::tensor({{{0.0f}, {1.0f}}}));
  EXPECT_TRUE(at::equal(center->center, torch::tensor({{0.375f, -0.125f}})));
}

TEST(PrototypeCenter, MomentumZeroTakesTheMeanAndOneStands) {
  const auto scores = floats({2, 3, 4}, 1);
  auto forgetful = center_of(3, 0);
  auto still = center_of(3, 1);
  forgetful->update(scores);
  still->update(scores);
  EXPECT_TRUE(close(forgetful->center, mean_score(scores)));
  EXPECT_TRUE(at::equal(still->center, torch::zeros({1, 3})));
}

TEST(PrototypeCenter, AccumulatedPartsCountByTheirPositions) {
  const auto scores = floats({5, 3, 4}, 1);
  auto whole = center_of(3), parts = center_of(3);
  whole->update(scores);
  parts->accumulate(scores.slice(0, 0, 1));
  EXPECT_TRUE(at::equal(parts->center, torch::zeros({1, 3})));  // nothing moves before the commit
  parts->accumulate(scores.slice(0, 1, 5));
  parts->commit();
  EXPECT_TRUE(close(parts->center, whole->center));
}

TEST(PrototypeCenter, CommitStartsAFreshSum) {
  const auto scores = floats({2, 3, 4}, 1);
  auto center = center_of(3, 0);
  center->update(floats({2, 3, 4}, 2));
  center->update(scores);
  EXPECT_TRUE(close(center->center, mean_score(scores)));
}

TEST(PrototypeCenter, NothingAccumulatedChangesNothing) {
  auto center = center_of(3);
  center->update(floats({2, 3, 4}, 1));
  const auto before = center->center.clone();
  center->commit();
  EXPECT_TRUE(at::equal(center->center, before));
  center->update(torch::zeros({0, 3, 4}));
  EXPECT_TRUE(at::equal(center->center, before));
  center->update(torch::zeros({2, 3, 0}));
  EXPECT_TRUE(at::equal(center->center, before));
  center->accumulate(floats({2, 3, 4}, 2));
  center->discard();
  center->commit();
  EXPECT_TRUE(at::equal(center->center, before));
}

TEST(PrototypeCenter, HalfScoresAreSummedInFloat32) {
  auto center = center_of(2, 0);
  center->update(torch::ones({1, 2, 300, 300}, torch::kHalf));  // 90000 is beyond float16
  EXPECT_TRUE(at::equal(center->center, torch::ones({1, 2})));
}

TEST(PrototypeCenter, ScoresLeaveNoGraphBehind) {
  auto center = center_of(3);
  center->update(floats({2, 3, 4}, 1).requires_grad_());
  EXPECT_FALSE(center->center.requires_grad());
}

TEST(PrototypeCenter, ForwardIsTheLossWithTheCommittedCentre) {
  auto center = center_of(3, 0.2);
  center->update(floats({2, 3, 4}, 1));
  center->accumulate(floats({2, 3, 4}, 2));
  const auto options = AssignmentOptions().student_temperature(0.3).teacher_temperature(0.2);
  const auto student = floats({2, 3, 4}, 3), teacher = floats({2, 3, 4}, 4);
  EXPECT_TRUE(at::equal(center->forward(student, teacher, options),
                        assignment_cross_entropy(student, teacher, center->center, options)));
}

TEST(PrototypeCenter, AssignerKeepsTheCentreOfItsTime) {
  auto center = center_of(3);
  center->update(floats({2, 3, 4}, 1));
  const auto options = AssignmentOptions().teacher_temperature(0.2);
  const auto scores = floats({2, 3, 4}, 2);
  const auto expected = centered_assignment(scores, center->center, options);
  const auto assigner = center->assigner(options);
  center->update(floats({2, 3, 4}, 3));
  EXPECT_TRUE(at::equal(assigner(scores), expected));
  EXPECT_FALSE(at::equal(centered_assignment(scores, center->center, options), expected));
}

TEST(PrototypeCenter, GroupMovesAsOneProcessWithTheJoinedBatch) {
  const auto scores = floats({6, 3, 4}, 1);
  auto joined = center_of(3);
  joined->update(scores);
  run_group(3, [&](const CollectivesPtr& group) {
    auto center = center_of(3);
    const auto begin = std::array<std::int64_t, 4>{0, 1, 1, 6};  // 1, 0 and 5 images
    const auto rank = static_cast<std::size_t>(group->rank());
    center->update(scores.slice(0, begin[rank], begin[rank + 1]), group.get());
    EXPECT_TRUE(close(center->center, joined->center)) << "rank " << rank;
  });
}

TEST(PrototypeCenter, ProcessThatAccumulatedNothingStillJoins) {
  const auto scores = floats({2, 3, 4}, 1);
  auto joined = center_of(3);
  joined->update(scores);
  run_group(2, [&](const CollectivesPtr& group) {
    auto center = center_of(3);
    if (group->rank() == 0) center->accumulate(scores);
    center->commit(group.get());
    EXPECT_TRUE(close(center->center, joined->center));
    center->commit(group.get());  // nobody has anything
    EXPECT_TRUE(close(center->center, joined->center));
  });
}

TEST(PrototypeCenter, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_text<c10::ValueError>([] { center_of(0); }),
            "PrototypeCenter: expected num_prototypes >= 1, got 0");
  EXPECT_EQ(error_text<c10::ValueError>([] { center_of(3, 1.5); }),
            "PrototypeCenter: expected momentum in [0,1], got 1.5");
  EXPECT_EQ(error_text<c10::ValueError>([] { center_of(3, -0.5); }),
            "PrototypeCenter: expected momentum in [0,1], got -0.5");
  EXPECT_EQ(error_text<c10::ValueError>([] {
              center_of(3)->accumulate(torch::zeros({2, 4, 5}));
            }),
            "PrototypeCenter: expected scores [B, 3, *spatial], got [2, 4, 5]");
  EXPECT_EQ(error_text<c10::ValueError>([] { center_of(3)->accumulate(torch::zeros({3})); }),
            "PrototypeCenter: expected scores [B,K,*spatial] with K >= 1, got [3]");
}

TEST(PrototypeCenterModule, PrintsItsNumbersAndNamesItsBuffer) {
  const auto center = center_of(3, 0.5);
  std::ostringstream out;
  center->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::PrototypeCenter(num_prototypes=3, momentum=0.5)");
  EXPECT_EQ(center->named_buffers().keys(), std::vector<std::string>{"center"});
  EXPECT_TRUE(center->parameters().empty());
}

TEST(PrototypeCenterModule, CloneIsDeep) {
  auto center = center_of(3, 0.5);
  center->update(floats({2, 3, 4}, 1));
  const auto clone = std::dynamic_pointer_cast<slotcon::PrototypeCenterImpl>(center->clone());
  const auto before = clone->center.clone();
  EXPECT_TRUE(at::equal(before, center->center));
  center->update(floats({2, 3, 4}, 2));
  EXPECT_TRUE(at::equal(clone->center, before));
  clone->update(floats({2, 3, 4}, 2));
  EXPECT_TRUE(at::equal(clone->center, center->center));
  EXPECT_EQ(clone->center.data_ptr(), clone->named_buffers()["center"].data_ptr());
}

TEST(PrototypeCenterModule, SavesAndLoads) {
  auto saved = center_of(3), loaded = center_of(3);
  saved->update(floats({2, 3, 4}, 1));
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  EXPECT_TRUE(at::equal(loaded->center, saved->center));
  loaded->update(floats({2, 3, 4}, 2));  // the member is still the registered buffer
  EXPECT_TRUE(at::equal(loaded->center, loaded->named_buffers()["center"]));
}

TEST(PrototypeCenterModule, ConvertsToFloat64) {
  auto center = center_of(3, 0);
  center->to(torch::kDouble);
  const auto scores = cosines({2, 3, 4}, 1);
  center->update(scores);
  EXPECT_EQ(center->center.scalar_type(), torch::kDouble);
  EXPECT_TRUE(close(center->center, mean_score(scores)));
}

// ---- Sinkhorn-Knopp ----

TEST(SinkhornAssignment, HandComputedCase) {
  // exp(s / T) = [4 1; 1 1] (prototype by position). Rows by their sums: [.8 .2; .5 .5]; then
  // columns.
  const auto scores = torch::tensor({{{0.5 * std::log(4.0), 0.0}, {0.0, 0.0}}}, torch::kDouble);
  const auto assigned =
      sinkhorn_assignment(scores, SinkhornOptions().temperature(0.5).iterations(1));
  EXPECT_TRUE(
      close(assigned, torch::tensor({{{8.0 / 13, 2.0 / 7}, {5.0 / 13, 5.0 / 7}}}, torch::kDouble)));
}

TEST(SinkhornAssignment, MatchesScalarLoops) {
  const auto scores = cosines({3, 5, 7}, 1);
  EXPECT_TRUE(close(sinkhorn_assignment(scores), sinkhorn_by_loops(scores, 0.07, 3)));
  EXPECT_TRUE(close(sinkhorn_assignment(scores, SinkhornOptions().temperature(0.3).iterations(5)),
                    sinkhorn_by_loops(scores, 0.3, 5)));
  EXPECT_TRUE(close(sinkhorn_assignment(scores.view({3, 5, 1, 7})).flatten(2),
                    sinkhorn_by_loops(scores, 0.07, 3)));
}

TEST(SinkhornAssignment, PositionsSumToOneAndPrototypesShareEqually) {
  const auto scores = cosines({4, 3, 8}, 1);
  EXPECT_TRUE(close(sinkhorn_assignment(scores).sum(1), torch::ones({4, 8}, torch::kDouble)));
  const auto balanced =
      sinkhorn_assignment(scores, SinkhornOptions().temperature(0.3).iterations(200));
  EXPECT_TRUE(close(balanced.sum(2).sum(0), torch::full({3}, 4 * 8 / 3.0, torch::kDouble)));
}

TEST(SinkhornAssignment, EqualScoresAreSharedEqually) {
  EXPECT_TRUE(
      close(sinkhorn_assignment(torch::full({2, 4, 3}, 0.3)), torch::full({2, 4, 3}, 0.25)));
}

TEST(SinkhornAssignment, WhatAPrototypeGetsOnAverageDoesNotCount) {
  const auto scores = 0.5 * cosines({2, 4, 3}, 1);
  const auto shift = 0.5 * cosines({1, 4, 1}, 2);
  EXPECT_TRUE(close(sinkhorn_assignment(scores + shift), sinkhorn_assignment(scores)));
}

TEST(SinkhornAssignment, CarriesNoGradient) {
  EXPECT_FALSE(sinkhorn_assignment(cosines({2, 4, 3}, 1).requires_grad_()).requires_grad());
}

TEST(SinkhornAssignment, LowestTemperatureStaysFiniteInFloat32) {
  // The worst cosines: one prototype is opposite to every position.
  auto scores = torch::ones({2, 3, 4});
  scores.select(1, 2).fill_(-1);
  const auto assigned = sinkhorn_assignment(scores, SinkhornOptions().temperature(0.03));
  EXPECT_TRUE(close(assigned, torch::full({2, 3, 4}, 1 / 3.0)));
}

TEST(SinkhornAssignment, HalfTypesAreComputedInFloat32) {
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const auto scores = cosines({2, 5, 7}, 1).to(type);
    const auto assigned = sinkhorn_assignment(scores);
    EXPECT_EQ(assigned.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(assigned, sinkhorn_by_loops(scores, 0.07, 3))) << type;
  }
}

TEST(SinkhornAssignment, NoPositionGivesAnEmptyResult) {
  EXPECT_EQ(sinkhorn_assignment(torch::zeros({0, 3, 4})).sizes(),
            (std::vector<std::int64_t>{0, 3, 4}));
  EXPECT_EQ(sinkhorn_assignment(torch::zeros({2, 3, 0})).sizes(),
            (std::vector<std::int64_t>{2, 3, 0}));
}

TEST(SinkhornAssignment, GroupAssignsAsOneProcessWithTheJoinedBatch) {
  const auto scores = floats({6, 3, 4}, 1);
  const auto joined = sinkhorn_assignment(scores);
  run_group(3, [&](const CollectivesPtr& group) {
    const auto begin = std::array<std::int64_t, 4>{0, 1, 1, 6};  // 1, 0 and 5 images
    const auto rank = static_cast<std::size_t>(group->rank());
    const auto own = [&](const torch::Tensor& all) {
      return all.slice(0, begin[rank], begin[rank + 1]);
    };
    EXPECT_TRUE(close(sinkhorn_assignment(own(scores), {}, group.get()), own(joined)))
        << "rank " << rank;
  });
}

TEST(SinkhornAssignment, SaysWhatDoesNotFit) {
  const auto says = [](at::IntArrayRef sizes, const SinkhornOptions& options = {}) {
    return error_text<c10::ValueError>([&] { sinkhorn_assignment(torch::zeros(sizes), options); });
  };
  EXPECT_EQ(says({3}), "sinkhorn_assignment: expected scores [B,K,*spatial] with K >= 1, got [3]");
  EXPECT_EQ(says({2, 3}, SinkhornOptions().temperature(0)),
            "sinkhorn_assignment: expected temperature > 0 and iterations >= 1, got 0 and 3");
  EXPECT_EQ(says({2, 3}, SinkhornOptions().iterations(0)),
            "sinkhorn_assignment: expected temperature > 0 and iterations >= 1, got 0.07 and 0");
  EXPECT_EQ(error_text<c10::TypeError>([] {
              sinkhorn_assignment(torch::zeros({2, 3}, torch::kInt));
            }),
            "sinkhorn_assignment: expected a floating dtype, got Int");
}

TEST(SinkhornAssignmentModule, ForwardIsTheCrossEntropyWithBalancedTargets) {
  const SinkhornAssignment module(SinkhornOptions().temperature(0.2).iterations(2));
  const auto student = cosines({2, 3, 4}, 1), teacher = cosines({2, 3, 4}, 2);
  const auto options = AssignmentOptions().student_temperature(0.3).teacher_temperature(0.9);
  const auto targets = sinkhorn_by_loops(teacher, 0.2, 2);
  EXPECT_TRUE(close(module->forward(student, teacher, options),
                    cross_entropy_by_loops(student, targets, 0.3)));
  EXPECT_TRUE(close(module->assigner(options)(teacher), targets));
}

TEST(SinkhornAssignmentModule, PrintsItsNumbersAndHasNoState) {
  const SinkhornAssignment module(SinkhornOptions().temperature(0.5));
  std::ostringstream out;
  module->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::SinkhornAssignment(temperature=0.5, iterations=3)");
  EXPECT_TRUE(module->parameters().empty());
  EXPECT_TRUE(module->buffers().empty());
  const auto clone = std::dynamic_pointer_cast<slotcon::SinkhornAssignmentImpl>(module->clone());
  EXPECT_EQ(clone->options.temperature(), 0.5);
}
