#include <gtest/gtest.h>
#include <slotcon/loss/slotcon_loss.h>
#include <slotcon/model/projection_head.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>
#include <torch/serialize.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/counting_collectives.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::Collectives;
using slotcon::CollectivesPtr;
using slotcon::Grouping;
using slotcon::MeanOver;
using slotcon::SemanticGroupingOptions;
using slotcon::SinkhornOptions;
using slotcon::SinkhornSlotConLoss;
using slotcon::SlotConLoss;
using slotcon::SlotConLossOptions;
using slotcon::SlotConLossOutput;
using slotcon::SlotDiagnostics;
using slotcon::SlotInfoNCEOptions;
using slotcon::ViewGeometry;
using slotcon::functional::inverse_augment;
using slotcon::testing::Autocast;
using slotcon::testing::close;
using slotcon::testing::CountingCollectives;
using slotcon::testing::gradcheck;
using slotcon::testing::noise;
using slotcon::testing::run_group;
using slotcon::testing::Tensors;
using torch::nn::AnyModule;

namespace F = slotcon::functional;

namespace {

constexpr std::int64_t kPrototypes = 6;
constexpr std::int64_t kDim = 4;

/// What one call of the loss takes.
struct Batch {
  std::array<torch::Tensor, 2> student, teacher;
  std::array<ViewGeometry, 2> geometry;

  Batch images(std::int64_t begin, std::int64_t end) const {
    const auto cut = [&](const torch::Tensor& all) { return all.slice(0, begin, end); };
    Batch part;
    for (std::size_t v = 0; v < 2; ++v) {
      part.student[v] = cut(student[v]);
      part.teacher[v] = cut(teacher[v]);
      part.geometry[v] = {cut(geometry[v].boxes), cut(geometry[v].flipped)};
    }
    return part;
  }
};

ViewGeometry random_geometry(std::int64_t images, std::uint64_t seed) {
  const auto corners = at::sigmoid(noise({images, 2, 2}, seed));
  const auto boxes = at::cat({at::amin(corners, 1), at::amax(corners, 1)}, 1).to(torch::kFloat);
  return {boxes, noise({images}, seed + 1) > 0};
}

Batch random_batch(std::int64_t images, at::ScalarType type = torch::kFloat) {
  const auto features = [&](std::uint64_t seed) {
    return noise({images, kDim, 3, 5}, seed).to(type);
  };
  return {{features(1), features(2)},
          {features(3), features(4)},
          {random_geometry(images, 5), random_geometry(images, 7)}};
}

/// Every number differs from its default and from the others.
SlotConLossOptions unusual_options() {
  return SlotConLossOptions(kPrototypes, kDim)
      .student_temperature(0.3)
      .teacher_temperature(0.2)
      .center_momentum(0.7)
      .contrast_temperature(0.4)
      .grouping_weight(0.35);
}

/// A loss with a linear predictor: nothing in it depends on who shares the batch.
template <class Loss = SlotConLoss>
Loss linear_loss(const SlotConLossOptions& options = unusual_options()) {
  torch::manual_seed(1);
  return Loss(options, AnyModule(torch::nn::Linear(kDim, kDim)));
}

/// With a centre and a teacher of its own, as some steps into a run.
SlotConLoss moved_loss(const SlotConLossOptions& options = unusual_options()) {
  auto loss = linear_loss(options);
  const torch::NoGradGuard no_grad;
  loss->assignment->center.copy_(0.2 * noise({1, kPrototypes}, 11));
  loss->grouping_k->prototypes().copy_(noise({kPrototypes, kDim}, 12));
  return loss;
}

SlotConLossOutput run(SlotConLoss& loss, const Batch& batch) {
  return loss->forward(batch.student, batch.teacher, batch.geometry);
}

template <class Assignment>
auto clone_of(const torch::nn::ModuleHolder<slotcon::SlotConLossImpl<Assignment>>& loss) {
  return std::dynamic_pointer_cast<slotcon::SlotConLossImpl<Assignment>>(loss->clone());
}

/// The parts of the objective.
struct Parts {
  torch::Tensor grouping, contrast;
};

/// The objective put together from the stateless losses; `assign` makes targets of aligned teacher
/// scores.
template <class LossImpl, class Assign>
Parts composed(LossImpl& loss, const Batch& batch, const Assign& assign,
               Collectives* group = nullptr) {
  const auto grouped = [](const torch::Tensor& features, const torch::Tensor& prototypes) {
    return F::semantic_grouping(features, prototypes, SemanticGroupingOptions().temperature(0.2));
  };
  const std::array<Grouping, 2> q{grouped(batch.student[0], loss.grouping_q->prototypes()),
                                  grouped(batch.student[1], loss.grouping_q->prototypes())};
  const std::array<Grouping, 2> k{grouped(batch.teacher[0], loss.grouping_k->prototypes()),
                                  grouped(batch.teacher[1], loss.grouping_k->prototypes())};
  const auto aligned = [&](const Grouping& grouping, std::size_t view) {
    return inverse_augment(grouping.scores, batch.geometry[view].boxes,
                           batch.geometry[view].flipped);
  };
  const auto type = loss.grouping_q->prototypes().scalar_type();  // of the predictor, too
  Parts parts{torch::zeros({}), torch::zeros({})};
  for (std::size_t v = 0; v < 2; ++v) {
    const auto other = 1 - v;
    parts.grouping =
        parts.grouping + F::soft_cross_entropy(aligned(q[v], v), assign(aligned(k[other], other)),
                                               AssignmentOptions().student_temperature(0.3));
    parts.contrast =
        parts.contrast +
        F::slot_info_nce(loss.contrast->predictor.forward(q[v].slots.to(type)), k[other].slots,
                         F::present_slots(q[v].scores), F::present_slots(k[other].scores),
                         SlotInfoNCEOptions().temperature(0.4).mean_over(loss.options.mean_over()),
                         group);
  }
  return parts;
}

/// Targets by the loss' centre, for `composed`.
auto centered_by(const torch::Tensor& center) {
  return [center](const torch::Tensor& scores) {
    return F::centered_assignment(scores, center, AssignmentOptions().teacher_temperature(0.2));
  };
}

/// The teacher's scores of both views, flattened to [2 B,K,N].
torch::Tensor teacher_scores(SlotConLoss& loss, const Batch& batch) {
  Tensors scores;
  for (const auto& features : batch.teacher) {
    scores.push_back(
        F::semantic_grouping(features, loss->grouping_k->prototypes()).scores.flatten(2));
  }
  return at::cat(scores);
}

void expect_zero_gradient(const torch::Tensor& tensor, const std::string& name) {
  ASSERT_TRUE(tensor.grad().defined()) << name;
  EXPECT_TRUE(at::equal(tensor.grad(), at::zeros_like(tensor))) << name;
}

}  // namespace

// ---- Values and gradients ----

TEST(SlotConLoss, IsTheWeightedSumOfItsParts) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto parts = composed(*loss, batch, centered_by(loss->assignment->center));
  const auto output = run(loss, batch);
  EXPECT_TRUE(close(output.grouping, parts.grouping));
  EXPECT_TRUE(close(output.contrast, parts.contrast));
  EXPECT_TRUE(close(output.loss, 0.35 * parts.grouping + 0.65 * parts.contrast));
  EXPECT_EQ(output.loss.dim(), 0);
}

TEST(SlotConLoss, DefaultsAreThePublishedNumbers) {
  const SlotConLossOptions options(kPrototypes, kDim);
  EXPECT_EQ(options.student_temperature(), 0.1);
  EXPECT_EQ(options.teacher_temperature(), 0.07);
  EXPECT_EQ(options.center_momentum(), 0.9);
  EXPECT_EQ(options.contrast_temperature(), 0.2);
  EXPECT_EQ(options.grouping_weight(), 0.5);
  EXPECT_EQ(SemanticGroupingOptions().eps(), 1e-6);
}

TEST(SlotConLoss, GradientsAreThoseOfItsParts) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto parts = composed(*loss, batch, centered_by(loss->assignment->center));
  std::vector<torch::Tensor> trained{loss->grouping_q->prototypes()};
  for (const auto& parameter : loss->contrast->parameters()) trained.push_back(parameter);
  const auto expected =
      torch::autograd::grad({0.35 * parts.grouping + 0.65 * parts.contrast}, trained);
  const auto gradients = torch::autograd::grad({run(loss, batch).loss}, trained);
  for (std::size_t i = 0; i < trained.size(); ++i)
    EXPECT_TRUE(close(gradients[i], expected[i])) << i;
}

TEST(SlotConLoss, GradientOfTheFeaturesMatchesCentralDifferences) {
  auto loss = moved_loss();
  loss->to(torch::kDouble);
  const auto batch = random_batch(2, torch::kDouble);
  const auto f = [&](const Tensors& student) {
    return loss->forward({student[0], student[1]}, batch.teacher, batch.geometry).loss;
  };
  EXPECT_TRUE(gradcheck(f, {batch.student[0], batch.student[1]}));
}

TEST(SlotConLoss, GradientReachesTheStudentAndNothingOfTheTeacher) {
  auto loss = moved_loss();
  auto batch = random_batch(3);
  for (auto* features : {&batch.student, &batch.teacher}) {
    for (auto& view : *features) view.requires_grad_();
  }
  run(loss, batch).loss.backward();
  const auto has_gradient = [](const torch::Tensor& tensor) {
    return tensor.grad().defined() && tensor.grad().abs().sum().item<double>() > 0;
  };
  for (const auto& view : batch.student) EXPECT_TRUE(has_gradient(view));
  EXPECT_TRUE(has_gradient(loss->grouping_q->prototypes()));
  for (const auto& parameter : loss->contrast->parameters()) EXPECT_TRUE(has_gradient(parameter));
  for (const auto& view : batch.teacher) EXPECT_FALSE(view.grad().defined());
  EXPECT_FALSE(loss->grouping_k->prototypes().requires_grad());
  EXPECT_FALSE(loss->assignment->center.requires_grad());
}

TEST(SlotConLoss, BothPartsTeachTheStudentsPrototypes) {
  auto loss = moved_loss();
  const auto output = run(loss, random_batch(3));
  for (const auto& part : {output.grouping, output.contrast}) {
    const auto gradient = torch::autograd::grad({part}, {loss->grouping_q->prototypes()}, {},
                                                /*retain_graph=*/true)[0];
    EXPECT_GT(gradient.abs().sum().item<double>(), 0);
  }
}

TEST(SlotConLoss, ExtremeWeightsLeaveOnePart) {
  for (const double weight : {0.0, 1.0}) {
    auto loss = moved_loss(unusual_options().grouping_weight(weight));
    const auto output = run(loss, random_batch(3));
    EXPECT_TRUE(at::equal(output.loss, weight == 1 ? output.grouping : output.contrast));
    output.loss.backward();
    for (const auto& parameter : loss->contrast->parameters())
      EXPECT_TRUE(parameter.grad().defined());
  }
}

TEST(SlotConLoss, SwappedViewsGiveTheSameLoss) {
  auto loss = moved_loss();
  auto batch = random_batch(3);
  const auto output = run(loss, batch);
  std::swap(batch.student[0], batch.student[1]);
  std::swap(batch.teacher[0], batch.teacher[1]);
  std::swap(batch.geometry[0], batch.geometry[1]);
  const auto swapped = run(loss, batch);
  EXPECT_TRUE(close(swapped.grouping, output.grouping));
  EXPECT_TRUE(close(swapped.contrast, output.contrast));
}

TEST(SlotConLoss, TwoCallsAreBitwiseEqual) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto first = run(loss, batch), second = run(loss, batch);
  const auto gradient = [&](const SlotConLossOutput& output) {
    return torch::autograd::grad({output.loss}, {loss->grouping_q->prototypes()})[0];
  };
  EXPECT_TRUE(at::equal(first.loss, second.loss));
  EXPECT_TRUE(at::equal(gradient(first), gradient(second)));
}

// ---- The teacher and the centre ----

TEST(SlotConLoss, TeacherStartsAsTheStudentAndFollowsIt) {
  auto loss = linear_loss();
  EXPECT_TRUE(at::equal(loss->grouping_k->prototypes(), loss->grouping_q->prototypes()));
  EXPECT_NE(loss->grouping_k->prototypes().data_ptr(), loss->grouping_q->prototypes().data_ptr());
  const auto start = loss->grouping_k->prototypes().clone();
  {
    const torch::NoGradGuard no_grad;
    loss->grouping_q->prototypes().add_(1);
  }
  loss->update_teacher(0.75);
  EXPECT_TRUE(close(loss->grouping_k->prototypes(), start.to(torch::kDouble) + 0.25));
  EXPECT_FALSE(loss->grouping_k->prototypes().requires_grad());
}

TEST(SlotConLoss, CentreTakesTheMeanOfBothWholeViewsAtCommit) {
  auto loss = linear_loss(unusual_options().center_momentum(0.9));
  const auto batch = random_batch(3);
  run(loss, batch);
  EXPECT_TRUE(at::equal(loss->assignment->center, torch::zeros({1, kPrototypes})));
  loss->commit();
  const auto mean =
      teacher_scores(loss, batch).to(torch::kDouble).mean(2).mean(0, /*keepdim=*/true);
  EXPECT_TRUE(close(loss->assignment->center, 0.1 * mean));
}

TEST(SlotConLoss, HalfBatchesBeforeACommitCountAsOneBatch) {
  auto whole = moved_loss(), halves = moved_loss();
  const auto batch = random_batch(4);
  run(whole, batch);
  whole->commit();
  run(halves, batch.images(0, 1));
  run(halves, batch.images(1, 4));
  halves->commit();
  EXPECT_TRUE(close(halves->assignment->center, whole->assignment->center));
}

TEST(SlotConLoss, DiscardedStepsLeaveTheCentre) {
  auto loss = moved_loss();
  const auto before = loss->assignment->center.clone();
  run(loss, random_batch(3));
  loss->discard();
  loss->commit();
  EXPECT_TRUE(at::equal(loss->assignment->center, before));
}

TEST(SlotConLoss, EvaluationAccumulatesNothing) {
  auto loss = moved_loss();
  const auto training = run(loss, random_batch(3));
  loss->discard();
  const auto before = loss->assignment->center.clone();
  loss->eval();
  EXPECT_TRUE(at::equal(run(loss, random_batch(3)).loss, training.loss));
  loss->commit();
  EXPECT_TRUE(at::equal(loss->assignment->center, before));
}

// ---- Edge cases ----

TEST(SlotConLoss, DisjointViewsCostLogKAndTeachNoGroupingAtCentreZero) {
  auto loss = linear_loss();
  auto batch = random_batch(2);
  for (auto& view : batch.geometry)
    view.boxes = torch::tensor({{0.8f, 0.1f, 0.6f, 0.9f}}).expand({2, 4});
  for (auto& view : batch.student) view.requires_grad_();
  const auto output = run(loss, batch);
  EXPECT_TRUE(close(output.grouping, torch::tensor(2 * std::log(6.0), torch::kDouble)));
  output.grouping.backward({}, /*retain_graph=*/true);
  for (const auto& view : batch.student) expect_zero_gradient(view, "student");
  expect_zero_gradient(loss->grouping_q->prototypes(), "prototypes");
  output.contrast.backward();  // the slots are still paired
  EXPECT_GT(batch.student[0].grad().abs().sum().item<double>(), 0);
}

TEST(SlotConLoss, NoSharedSlotContrastsNothing) {
  torch::manual_seed(1);
  slotcon::ProjectionHead predictor(slotcon::ProjectionHeadOptions(kDim, 5, kDim));
  SlotConLoss loss(unusual_options(), AnyModule(predictor));
  auto batch = random_batch(2);
  {
    // The student's features are all its first prototype, the teacher's all the second.
    const torch::NoGradGuard no_grad;
    const auto along = [&](std::int64_t prototype) {
      return loss->grouping_q->prototypes()[prototype]
          .detach()
          .clone()
          .view({1, kDim, 1, 1})
          .expand({2, kDim, 3, 5});
    };
    batch.student = {along(0), along(0)};
    batch.teacher = {along(1), along(1)};
  }
  const auto output = run(loss, batch);
  EXPECT_EQ(output.contrast.item<double>(), 0);
  output.contrast.backward();
  for (const auto& parameter : predictor->named_parameters()) {
    expect_zero_gradient(parameter.value(), parameter.key());
  }
  EXPECT_TRUE(output.loss.isfinite().item<bool>());
}

TEST(SlotConLoss, OneAnchorPassesABatchNorm) {
  slotcon::ProjectionHead predictor(slotcon::ProjectionHeadOptions(kDim, 5, kDim));
  SlotConLoss loss(unusual_options(), AnyModule(predictor));
  auto batch = random_batch(1);
  const auto one = loss->grouping_q->prototypes()[0]
                       .detach()
                       .clone()
                       .view({1, kDim, 1, 1})
                       .expand({1, kDim, 3, 5});
  batch.student = {one, one};
  batch.teacher = {one, one};
  const auto output = run(loss, batch);
  output.loss.backward();
  EXPECT_EQ(output.contrast.item<double>(), 0);  // its own key is the only one
  for (const auto& parameter : predictor->parameters()) {
    EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>());
  }
}

TEST(SlotConLoss, NoImageIsZeroWithAValidGraph) {
  torch::manual_seed(1);
  slotcon::ProjectionHead predictor(slotcon::ProjectionHeadOptions(kDim, 5, kDim));
  SlotConLoss loss(unusual_options(), AnyModule(predictor));
  const auto output = run(loss, random_batch(0));
  EXPECT_EQ(output.loss.item<double>(), 0);
  output.loss.backward();
  expect_zero_gradient(loss->grouping_q->prototypes(), "prototypes");
  for (const auto& parameter : predictor->named_parameters()) {
    expect_zero_gradient(parameter.value(), parameter.key());
  }
  loss->commit();
  EXPECT_TRUE(at::equal(loss->assignment->center, torch::zeros({1, kPrototypes})));
}

TEST(SlotConLoss, OnePrototypeGroupsForFree) {
  torch::manual_seed(1);
  SlotConLoss loss(SlotConLossOptions(1, kDim), AnyModule(torch::nn::Linear(kDim, kDim)));
  const auto output = run(loss, random_batch(2));
  EXPECT_EQ(output.grouping.item<double>(), 0);
  EXPECT_GT(output.contrast.item<double>(), 0);  // the two images' slots
}

// ---- Types and backends ----

TEST(SlotConLoss, HalfFeaturesGiveFloat32Losses) {
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    auto loss = moved_loss();
    const auto batch = random_batch(3, type);
    const auto parts = composed(*loss, batch, centered_by(loss->assignment->center));
    const auto output = run(loss, batch);
    EXPECT_EQ(output.loss.scalar_type(), torch::kFloat);
    EXPECT_TRUE(close(output.grouping, parts.grouping)) << type;
    EXPECT_TRUE(close(output.contrast.to(type), parts.contrast))
        << type;  // slots are of the features' type
  }
}

TEST(SlotConLoss, HalfFeaturesUnderAutocastGiveFloat32Losses) {
  auto loss = moved_loss();
  const auto batch = random_batch(3, torch::kBFloat16);
  const auto parts = composed(*loss, batch, centered_by(loss->assignment->center));
  const Autocast autocast;
  const auto output = run(loss, batch);
  EXPECT_EQ(output.loss.scalar_type(), torch::kFloat);
  EXPECT_TRUE(close(output.grouping, parts.grouping));
  EXPECT_TRUE(close(output.contrast.to(torch::kBFloat16), parts.contrast));
  output.loss.backward();
  EXPECT_EQ(loss->grouping_q->prototypes().grad().scalar_type(), torch::kFloat);
}

TEST(SlotConLoss, AutocastReachesThePredictorAlone) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto expected = run(loss, batch);
  const Autocast autocast;
  const auto output = run(loss, batch);
  EXPECT_TRUE(at::equal(output.grouping, expected.grouping));
  EXPECT_EQ(output.contrast.scalar_type(), torch::kFloat);
  EXPECT_TRUE(close(output.contrast.to(torch::kBFloat16), expected.contrast));
  EXPECT_FALSE(at::equal(output.contrast, expected.contrast));
}

TEST(SlotConLoss, ConvertsToFloat64) {
  auto loss = moved_loss();
  loss->to(torch::kDouble);
  const auto batch = random_batch(3, torch::kDouble);
  const auto parts = composed(*loss, batch, centered_by(loss->assignment->center));
  const auto output = run(loss, batch);
  EXPECT_EQ(output.loss.scalar_type(), torch::kDouble);
  EXPECT_TRUE(close(output.loss, 0.35 * parts.grouping + 0.65 * parts.contrast));
  loss->commit();
  EXPECT_EQ(loss->assignment->center.scalar_type(), torch::kDouble);
}

TEST(SlotConLoss, AutoIsFusedInFloat32AndTheReferenceInFloat64) {
  const auto by = [](Backend backend, at::ScalarType type) {
    auto loss = moved_loss(unusual_options().backend(backend));
    loss->to(type);
    return run(loss, random_batch(3, type)).loss;
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto, torch::kFloat), by(Backend::kFused, torch::kFloat)));
  EXPECT_TRUE(close(by(Backend::kFused, torch::kFloat), by(Backend::kReference, torch::kFloat)));
  EXPECT_TRUE(
      at::equal(by(Backend::kAuto, torch::kDouble), by(Backend::kReference, torch::kDouble)));
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { by(Backend::kFused, torch::kDouble); }),
            "semantic_grouping: Backend::kFused is unavailable: no kernel for Double on cpu");
}

TEST(SlotConLoss, SaysWhatDoesNotFit) {
  const auto says = [](const SlotConLossOptions& options) {
    return error_text<c10::ValueError>([&] { linear_loss(options); });
  };
  const SlotConLossOptions options(kPrototypes, kDim);
  EXPECT_EQ(says(SlotConLossOptions(options).grouping_weight(1.5)),
            "SlotConLoss: expected grouping_weight in [0,1], got 1.5");
  EXPECT_EQ(says(SlotConLossOptions(options).grouping_weight(-1)),
            "SlotConLoss: expected grouping_weight in [0,1], got -1");
  EXPECT_EQ(
      says(SlotConLossOptions(options).student_temperature(0)),
      "SlotConLoss: expected student_temperature > 0 and teacher_temperature > 0, got 0 and 0.07");
  EXPECT_EQ(says(SlotConLossOptions(options).center_momentum(2)),
            "PrototypeCenter: expected momentum in [0,1], got 2");
  EXPECT_EQ(says(SlotConLossOptions(0, kDim)),
            "SemanticGrouping: expected num_prototypes >= 1 and dim >= 1, got 0 and 4");
}

// ---- Several processes ----

TEST(SlotConLoss, GroupSharesKeysAndCentreAndEachTakesItsOwnMean) {
  const auto batch = random_batch(4);
  const auto options = unusual_options().mean_over(MeanOver::kEachProcess);
  auto joined = moved_loss(options);
  const auto joined_output = run(joined, batch);
  joined->commit();
  const auto base = moved_loss(options);
  std::array<double, 3> grouping{};
  run_group(3, [&](const CollectivesPtr& group) {
    const auto begin = std::array<std::int64_t, 4>{0, 1, 1, 4};  // 1, 0 and 3 images
    const auto rank = static_cast<std::size_t>(group->rank());
    const auto own = batch.images(begin[rank], begin[rank + 1]);
    const auto loss = clone_of(base);
    loss->collectives = group;
    const auto parts = composed(*loss, own, centered_by(loss->assignment->center), group.get());
    const auto output = loss->forward(own.student, own.teacher, own.geometry);
    output.loss.backward();
    loss->commit();
    const auto images = static_cast<double>(begin[rank + 1] - begin[rank]);
    grouping[rank] = output.grouping.item<double>() * images / 4;
    EXPECT_TRUE(close(output.contrast, parts.contrast)) << "rank " << rank;
    EXPECT_TRUE(close(loss->assignment->center, joined->assignment->center)) << "rank " << rank;
    EXPECT_TRUE(loss->grouping_q->prototypes().grad().defined()) << "rank " << rank;
  });
  EXPECT_TRUE(close(torch::tensor(grouping[0] + grouping[1] + grouping[2], torch::kFloat),
                    joined_output.grouping));
}

TEST(SinkhornSlotConLoss, GroupBalancesAsOneProcess) {
  const auto batch = random_batch(4);
  auto joined = linear_loss<SinkhornSlotConLoss>();
  const auto base = linear_loss<SinkhornSlotConLoss>();
  const auto expected = joined->forward(batch.student, batch.teacher, batch.geometry).grouping;
  std::array<double, 3> grouping{};
  run_group(3, [&](const CollectivesPtr& group) {
    const auto begin = std::array<std::int64_t, 4>{0, 1, 1, 4};
    const auto rank = static_cast<std::size_t>(group->rank());
    const auto own = batch.images(begin[rank], begin[rank + 1]);
    const auto loss = clone_of(base);
    loss->collectives = group;
    const auto output = loss->forward(own.student, own.teacher, own.geometry);
    loss->commit();
    grouping[rank] = output.grouping.item<double>() / 3;
  });
  EXPECT_TRUE(
      close(torch::tensor(grouping[0] + grouping[1] + grouping[2], torch::kFloat), expected));
}

TEST(SlotConLoss, GroupGathersThePresentSlotsAlone) {
  constexpr std::int64_t kImages = 64, kSlots = 2048, kChannels = 32, kPresent = 16;
  const auto prototypes = noise({kSlots, kChannels}, 1).to(torch::kFloat);
  SlotConLoss loss(SlotConLossOptions(kSlots, kChannels),
                   AnyModule(torch::nn::Linear(kChannels, kChannels)));
  {
    const torch::NoGradGuard no_grad;
    loss->grouping_q->prototypes().copy_(prototypes);
    loss->grouping_k->prototypes().copy_(prototypes);
  }
  // Position n of image b shows prototype 16 b + n mod 16.
  const auto shown = at::arange(kImages).view({kImages, 1}) * kPresent +
                     at::arange(49).view({1, 49}).remainder(kPresent);
  const auto features = prototypes.index_select(0, shown.flatten().remainder(kSlots))
                            .view({kImages, 7, 7, kChannels})
                            .permute({0, 3, 1, 2});
  const auto whole = torch::tensor({{0.0F, 0.0F, 1.0F, 1.0F}}).expand({kImages, 4});
  const ViewGeometry view{whole, torch::zeros({kImages}, torch::kBool)};
  run_group(2, [&](const CollectivesPtr& group) {
    const auto counted = std::make_shared<CountingCollectives>(group);
    const auto own = clone_of(loss);
    own->collectives = counted;
    const auto output = own->forward({features, features}, {features, features}, {view, view});
    own->commit();
    EXPECT_EQ(output.diagnostics.active_slots().item<double>(), kPresent);
    const std::int64_t keys = 2 * (kImages * kPresent * kChannels * 4 + 8);  // and their number
    const std::int64_t centre = (kSlots + 1) * 4, weights = 3 * 8;
    EXPECT_EQ(counted->bytes(), keys + centre + weights);
    EXPECT_LT(counted->bytes() * 50, 2 * kImages * kSlots * kChannels * 4);
  });
}

// ---- Sinkhorn in place of the centre ----

TEST(SinkhornSlotConLoss, IsTheWeightedSumOfItsParts) {
  auto loss = linear_loss<SinkhornSlotConLoss>();
  const auto batch = random_batch(3);
  const auto parts = composed(*loss, batch, [](const torch::Tensor& scores) {
    return F::sinkhorn_assignment(scores, SinkhornOptions().temperature(0.2));
  });
  const auto output = loss->forward(batch.student, batch.teacher, batch.geometry);
  EXPECT_TRUE(close(output.grouping, parts.grouping));
  EXPECT_TRUE(close(output.contrast, parts.contrast));
  EXPECT_TRUE(close(output.loss, 0.35 * parts.grouping + 0.65 * parts.contrast));
  EXPECT_FALSE(output.diagnostics.center_norm().defined());
  EXPECT_TRUE(loss->named_buffers().is_empty());
}

TEST(SinkhornSlotConLoss, AutoIsFusedInFloat32) {
  const auto by = [](Backend backend) {
    auto loss = linear_loss<SinkhornSlotConLoss>(unusual_options().backend(backend));
    const auto batch = random_batch(3);
    return loss->forward(batch.student, batch.teacher, batch.geometry).loss;
  };
  EXPECT_TRUE(at::equal(by(Backend::kAuto), by(Backend::kFused)));
  EXPECT_TRUE(close(by(Backend::kFused), by(Backend::kReference)));
}

TEST(SinkhornSlotConLoss, CloneIsDeep) {
  auto loss = linear_loss<SinkhornSlotConLoss>();
  const auto clone = clone_of(loss);
  EXPECT_NE(clone->grouping_q->prototypes().data_ptr(), loss->grouping_q->prototypes().data_ptr());
  EXPECT_EQ(clone->assignment->options.temperature(), 0.2);
}

// ---- Diagnostics ----

TEST(SlotDiagnostics, MatchScalarLoops) {
  auto loss = moved_loss(unusual_options().teacher_temperature(0.07));
  auto batch = random_batch(2);
  // The second pair is disjoint: in x in one view, in y in the other.
  batch.geometry[0].boxes = torch::tensor({{0.1f, 0.1f, 0.8f, 0.8f}, {0.8f, 0.1f, 0.6f, 0.9f}});
  batch.geometry[1].boxes = torch::tensor({{0.1f, 0.1f, 0.8f, 0.8f}, {0.2f, 0.5f, 0.6f, 0.5f}});
  const auto scores64 = teacher_scores(loss, batch).to(torch::kDouble);
  const auto center64 = loss->assignment->center.to(torch::kDouble);
  const auto s = scores64.accessor<double, 3>();
  const auto c = center64.accessor<double, 2>();
  const auto figures = run(loss, batch).diagnostics;

  double active = 0, entropy = 0, center_square = 0;
  std::array<double, kPrototypes> share{};
  std::array<bool, kPrototypes> used{};
  const auto maps = s.size(0), positions = s.size(2);
  const auto rows = static_cast<double>(maps * positions);
  for (std::int64_t b = 0; b < maps; ++b) {
    std::array<bool, kPrototypes> wins{};
    for (std::int64_t n = 0; n < positions; ++n) {
      double sum = 0;
      std::size_t winner = 0;
      for (std::size_t k = 0; k < kPrototypes; ++k) {
        const auto i = static_cast<std::int64_t>(k);
        sum += std::exp((s[b][i][n] - c[0][i]) / 0.07);
        if (s[b][i][n] > s[b][static_cast<std::int64_t>(winner)][n]) winner = k;
      }
      wins[winner] = used[winner] = true;
      for (std::size_t k = 0; k < kPrototypes; ++k) {
        const auto i = static_cast<std::int64_t>(k);
        const double t = std::exp((s[b][i][n] - c[0][i]) / 0.07) / sum;
        entropy -= t * std::log(t) / rows;
        share[k] += t / rows;
      }
    }
    active +=
        static_cast<double>(std::count(wins.begin(), wins.end(), true)) / static_cast<double>(maps);
  }
  double share_entropy = 0;
  for (std::size_t k = 0; k < kPrototypes; ++k) {
    share_entropy -= share[k] * std::log(share[k]);
    center_square += c[0][static_cast<std::int64_t>(k)] * c[0][static_cast<std::int64_t>(k)];
  }
  const auto dead = static_cast<double>(std::count(used.begin(), used.end(), false));
  const auto is = [](const torch::Tensor& figure, double expected) {
    return figure.dim() == 0 ? close(figure, torch::tensor(expected, torch::kDouble))
                             : testing::AssertionFailure() << "not 0-d";
  };
  EXPECT_TRUE(is(figures.active_slots(), active));
  EXPECT_TRUE(is(figures.teacher_entropy(), entropy));
  EXPECT_TRUE(is(figures.entropy_gap(), std::log(6.0) - entropy));
  EXPECT_TRUE(is(figures.prototype_perplexity(), std::exp(share_entropy)));
  EXPECT_TRUE(is(figures.dead_prototypes(), dead));
  EXPECT_TRUE(is(figures.center_norm(), std::sqrt(center_square)));
  EXPECT_TRUE(is(figures.disjoint_share(), 0.5));
}

TEST(SlotDiagnostics, TellOfTheCentreThatTheLossUsed) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto early = run(loss, batch).diagnostics;
  const auto entropy = early.teacher_entropy();
  const auto norm = loss->assignment->center.norm();
  loss->commit();
  ASSERT_FALSE(at::equal(loss->assignment->center.norm(), norm));
  EXPECT_TRUE(at::equal(early.teacher_entropy(), entropy));
  EXPECT_TRUE(at::equal(early.center_norm(), norm));
}

TEST(SlotDiagnostics, UniformTeacherIsTheSignatureOfCollapse) {
  auto loss = linear_loss();
  auto batch = random_batch(2);
  batch.teacher = {torch::zeros({2, kDim, 3, 5}), torch::zeros({2, kDim, 3, 5})};
  const auto figures = run(loss, batch).diagnostics;
  EXPECT_TRUE(close(figures.teacher_entropy(), torch::tensor(std::log(6.0))));
  EXPECT_NEAR(figures.entropy_gap().item<double>(), 0, slotcon::testing::tolerance(torch::kFloat));
  EXPECT_TRUE(close(figures.prototype_perplexity(), torch::tensor(6.0)));
  EXPECT_EQ(figures.active_slots().item<double>(), 1);  // a tie: the lowest
  EXPECT_EQ(figures.dead_prototypes().item<double>(), 5);
  EXPECT_EQ(figures.center_norm().item<double>(), 0);
  EXPECT_EQ(figures.disjoint_share().item<double>(), 0);
}

TEST(SlotDiagnostics, OneSlotThatTakesEveryImageOfAView) {
  auto loss = linear_loss(unusual_options().teacher_temperature(1e-3));
  auto batch = random_batch(2);
  const auto along = [&](std::int64_t prototype) {
    const auto one = loss->grouping_k->prototypes()[prototype].clone();
    return one.view({1, kDim, 1, 1}).expand({2, kDim, 3, 5});
  };
  batch.teacher = {along(2), along(4)};
  const auto figures = run(loss, batch).diagnostics;
  const auto bound = slotcon::testing::tolerance(torch::kFloat);
  EXPECT_NEAR(figures.teacher_entropy().item<double>(), 0, bound);
  EXPECT_NEAR(figures.prototype_perplexity().item<double>(), 2, bound);
  EXPECT_EQ(figures.active_slots().item<double>(), 1);
  EXPECT_EQ(figures.dead_prototypes().item<double>(), 4);
}

TEST(SlotDiagnostics, FiguresCarryNoGradient) {
  auto loss = moved_loss();
  const auto figures = run(loss, random_batch(2)).diagnostics;
  for (const auto& figure :
       {figures.active_slots(), figures.teacher_entropy(), figures.entropy_gap(),
        figures.prototype_perplexity(), figures.dead_prototypes(), figures.center_norm(),
        figures.disjoint_share()}) {
    EXPECT_FALSE(figure.requires_grad());
  }
}

// ---- The module ----

TEST(SlotConLossModule, PrintsItsNumbersAndNamesItsState) {
  const auto loss = linear_loss();
  std::ostringstream out;
  loss->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::SlotConLoss(num_prototypes=6, dim=4, grouping_weight=0.35)");
  EXPECT_EQ(
      loss->named_parameters().keys(),
      (std::vector<std::string>{"grouping_q.slot_embed.weight", "grouping_k.slot_embed.weight",
                                "contrast.predictor.weight", "contrast.predictor.bias"}));
  EXPECT_EQ(loss->named_buffers().keys(), std::vector<std::string>{"assignment.center"});
}

TEST(SlotConLossModule, CloneIsDeepAndWhole) {
  auto loss = moved_loss();
  const auto batch = random_batch(3);
  const auto clone = clone_of(loss);
  const auto expected = run(loss, batch).loss;
  loss->commit();
  loss->update_teacher(0.5);
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : loss->parameters()) parameter.add_(1);
  }
  const auto output = clone->forward(batch.student, batch.teacher, batch.geometry);
  EXPECT_TRUE(at::equal(output.loss, expected));
  output.loss.backward();
  for (const auto& parameter : clone->named_parameters()) {
    const bool teacher = parameter.key() == "grouping_k.slot_embed.weight";
    EXPECT_EQ(parameter.value().grad().defined(), !teacher) << parameter.key();
  }
  const auto before = clone->assignment->center.clone();
  clone->commit();
  EXPECT_FALSE(at::equal(clone->assignment->center, before));
  EXPECT_TRUE(at::equal(clone->named_buffers()["assignment.center"], clone->assignment->center));
}

TEST(SlotConLossModule, TeacherOfACloneTakesNoGradient) {
  const auto clone = clone_of(linear_loss());
  EXPECT_TRUE(clone->grouping_q->prototypes().requires_grad());
  EXPECT_FALSE(clone->grouping_k->prototypes().requires_grad());
}

TEST(SlotConLossModule, CloneKeepsTheModeAndTheGroup) {
  auto loss = moved_loss();
  run_group(1, [&](const CollectivesPtr& group) { loss->collectives = group; });
  loss->eval();
  const auto clone = clone_of(loss);
  EXPECT_FALSE(clone->is_training());
  EXPECT_FALSE(clone->contrast->is_training());
  EXPECT_EQ(clone->collectives, loss->collectives);
}

TEST(SlotConLossModule, SavesAndLoads) {
  auto saved = moved_loss();
  torch::manual_seed(2);
  SlotConLoss loaded(unusual_options(), AnyModule(torch::nn::Linear(kDim, kDim)));
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  const auto batch = random_batch(3);
  EXPECT_TRUE(at::equal(run(loaded, batch).loss, run(saved, batch).loss));
  loaded->commit();
  saved->commit();
  EXPECT_TRUE(at::equal(loaded->assignment->center, saved->assignment->center));
}
