// What several processes make of a batch that they share, against one process with all of it.
#include <slotcon/loss/slotcon_loss.h>
#include <slotcon/model/resnet.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/train/lars.h>
#include <slotcon/train/training_step.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/distributed/ranks.h"
#include "tests/support/boxes.h"
#include "tests/support/noise.h"
#include "tests/support/tolerance.h"

using slotcon::BatchNorm;
using slotcon::ProjectionHead;
using slotcon::ProjectionHeadOptions;
using slotcon::ResNet;
using slotcon::ResNetOptions;
using slotcon::SinkhornSlotConLoss;
using slotcon::SlotConLoss;
using slotcon::SlotConLossOptions;
using slotcon::SlotConOptions;
using slotcon::TwoViews;
using slotcon::ViewGeometry;
using slotcon::testing::close;
using slotcon::testing::group;
using slotcon::testing::mean_over_processes;
using slotcon::testing::noise;
using slotcon::testing::random_boxes;
using slotcon::testing::Split;
using slotcon::testing::splits;
using slotcon::testing::within;

namespace F = slotcon::functional;

namespace {

constexpr std::int64_t kImages = 7;  // neither 2 nor 3 nor 4 processes divide them
constexpr std::int64_t kPrototypes = 6;
constexpr std::int64_t kDim = 4;

torch::Tensor leaf(const torch::Tensor& values) { return values.detach().clone().requires_grad_(); }

ViewGeometry random_geometry(std::int64_t images, std::uint64_t seed) {
  return {random_boxes(images, seed), noise({images}, seed + 1) > 0};
}

ViewGeometry own(const Split& split, const ViewGeometry& view) {
  return {split.own(view.boxes), split.own(view.flipped)};
}

std::array<torch::Tensor, 2> own(const Split& split, const std::array<torch::Tensor, 2>& views) {
  return {split.own(views[0]), split.own(views[1])};
}

std::array<ViewGeometry, 2> own(const Split& split, const std::array<ViewGeometry, 2>& views) {
  return {own(split, views[0]), own(split, views[1])};
}

/// Whether they are the same but for rounding, of numbers about 1 or larger: the gradient of a bias
/// before a norm is nothing else.
::testing::AssertionResult same(const torch::Tensor& actual, const torch::Tensor& expected) {
  const auto largest = std::max(1.0, expected.abs().max().item<double>());
  return within(actual, expected, largest * slotcon::testing::tolerance(actual.scalar_type()));
}

}  // namespace

// ---- Losses ----

TEST(Rank, JoinedBatchOfGroupingAndAssignment) {
  const auto features = noise({kImages, kDim, 3, 5}, 1), prototypes = noise({kPrototypes, kDim}, 2);
  const auto teacher = noise({kImages, kPrototypes, 3, 5}, 3).tanh();
  const auto center = 0.2 * noise({1, kPrototypes}, 4);
  const std::array<ViewGeometry, 2> views{random_geometry(kImages, 5), random_geometry(kImages, 7)};
  const auto loss_of = [&](const torch::Tensor& x, const torch::Tensor& p, const torch::Tensor& t,
                           const std::array<ViewGeometry, 2>& geometry) {
    const auto scores = F::semantic_grouping(x, p).scores;
    const auto aligned = F::inverse_augment(scores, geometry[0].boxes, geometry[0].flipped);
    return F::aligned_assignment_cross_entropy(scores, t, geometry[0], geometry[1], center) +
           F::assignment_cross_entropy(aligned, t, center);
  };
  const auto all = leaf(features), shared = leaf(prototypes);
  const auto joined = loss_of(all, shared, teacher, views);
  joined.backward();
  for (const auto& split : splits(kImages)) {
    const auto x = leaf(split.own(features)), p = leaf(prototypes);
    const auto loss = loss_of(x, p, split.own(teacher), own(split, views));
    const auto share = slotcon::share_of_mean(loss, x.size(0), *group());
    share.backward();
    EXPECT_TRUE(close(mean_over_processes(share), joined));
    EXPECT_TRUE(close(x.grad() / group()->size(), split.own(all.grad())));
    EXPECT_TRUE(close(mean_over_processes(p.grad()), shared.grad()));
  }
}

TEST(Rank, JoinedBatchOfSinkhorn) {
  const auto student = noise({kImages, kPrototypes, 4}, 1).tanh();
  const auto teacher = noise({kImages, kPrototypes, 4}, 2).tanh();
  const auto targets = F::sinkhorn_assignment(teacher);
  const auto all = leaf(student);
  const auto joined = F::soft_cross_entropy(all, targets);
  joined.backward();
  for (const auto& split : splits(kImages)) {
    const auto x = leaf(split.own(student));
    const auto own_targets = F::sinkhorn_assignment(split.own(teacher), {}, group().get());
    EXPECT_TRUE(close(own_targets, split.own(targets)));
    const auto loss = F::soft_cross_entropy(x, own_targets);
    const auto share = slotcon::share_of_mean(loss, x.size(0), *group());
    share.backward();
    EXPECT_TRUE(close(mean_over_processes(share), joined));
    EXPECT_TRUE(close(x.grad() / group()->size(), split.own(all.grad())));
  }
}

TEST(Rank, JoinedBatchOfSlotInfoNCE) {
  const auto anchors = noise({kImages, kPrototypes, kDim}, 1);
  const auto keys = noise({kImages, kPrototypes, kDim}, 2);
  auto here = noise({kImages, kPrototypes}, 3) > 0;
  const auto there = noise({kImages, kPrototypes}, 4) > 0;
  here[kImages - 1] =
      there[kImages - 1].logical_not();  // in the last split, all that a process has
  const auto all = leaf(anchors);
  const auto joined = F::slot_info_nce(all, keys, here, there);
  joined.backward();
  for (const auto& split : splits(kImages)) {
    const auto x = leaf(split.own(anchors));
    const auto loss =
        F::slot_info_nce(x, split.own(keys), split.own(here), split.own(there), {}, group().get());
    loss.backward();
    EXPECT_TRUE(close(mean_over_processes(loss), joined));
    EXPECT_TRUE(close(x.grad() / group()->size(), split.own(all.grad())));
  }
}

namespace {

/// With a predictor whose batch norm sees the anchors of all.
template <class Loss>
Loss make_loss(at::ScalarType type) {
  torch::manual_seed(1);
  const ProjectionHead predictor(ProjectionHeadOptions(kDim, 5, kDim));
  Loss loss(SlotConLossOptions(kPrototypes, kDim).grouping_weight(0.35),
            torch::nn::AnyModule(predictor));
  loss->to(type);
  return loss;
}

/// Two steps of the whole objective.
template <class Loss>
void expect_objective_of_joined_batch(at::ScalarType type) {
  const auto features = [&](std::uint64_t seed) {
    return noise({kImages, kDim, 3, 5}, seed).to(type);
  };
  const std::array<ViewGeometry, 2> views{random_geometry(kImages, 5), random_geometry(kImages, 7)};
  for (const auto& split : splits(kImages)) {
    auto one = make_loss<Loss>(type), several = make_loss<Loss>(type);
    slotcon::synchronise_batch_norm(*several, group());
    several->collectives = group();
    for (std::uint64_t step = 0; step < 2; ++step) {
      const std::array<torch::Tensor, 2> student{features(10 * step + 1), features(10 * step + 2)};
      const std::array<torch::Tensor, 2> teacher{features(10 * step + 3), features(10 * step + 4)};
      const std::array<torch::Tensor, 2> all{leaf(student[0]), leaf(student[1])};
      const std::array<torch::Tensor, 2> part{leaf(split.own(student[0])),
                                              leaf(split.own(student[1]))};
      const auto joined = one->forward(all, teacher, views);
      joined.loss.backward();
      one->commit();
      const auto output = several->forward(part, own(split, teacher), own(split, views));
      output.loss.backward();
      several->commit();

      EXPECT_TRUE(close(mean_over_processes(output.grouping), joined.grouping));
      EXPECT_TRUE(close(mean_over_processes(output.contrast), joined.contrast));
      EXPECT_TRUE(close(mean_over_processes(output.loss), joined.loss));
      for (std::size_t v = 0; v < 2; ++v) {
        EXPECT_TRUE(close(part[v].grad() / group()->size(), split.own(all[v].grad())));
      }
    }
    const auto expected = one->named_parameters();
    for (const auto& parameter : several->named_parameters()) {
      if (!parameter.value().requires_grad()) continue;
      const auto mean = mean_over_processes(parameter.value().grad());
      EXPECT_TRUE(same(mean, expected[parameter.key()].grad())) << parameter.key();
    }
    const auto buffers = one->named_buffers();
    for (const auto& buffer : several->named_buffers()) {
      EXPECT_TRUE(close(buffer.value(), buffers[buffer.key()])) << buffer.key();
    }
  }
}

}  // namespace

TEST(Rank, JoinedBatchOfTheObjective) {
  expect_objective_of_joined_batch<SlotConLoss>(torch::kDouble);
  expect_objective_of_joined_batch<SlotConLoss>(torch::kFloat);
  expect_objective_of_joined_batch<SinkhornSlotConLoss>(torch::kDouble);
}

// ---- Batch norm ----

namespace {

/// Two steps of the layer against LibTorch's, which has the rows of all.
template <class Reference>
void expect_norm_of_joined_batch(at::IntArrayRef sizes, at::ScalarType type) {
  for (const auto& split : splits(sizes[0])) {
    BatchNorm several(sizes[1]);
    Reference one(sizes[1]);
    several->to(type);
    one->to(type);
    several->collectives = group();
    for (std::uint64_t step = 1; step <= 2; ++step) {
      const auto x = (noise(sizes, step) * 3 + 5).to(type), g = noise(sizes, step + 10).to(type);
      const auto all = leaf(x), part = leaf(split.own(x));
      const auto joined = one->forward(all);
      joined.backward(g);
      const auto y = several->forward(part);
      y.backward(split.own(g));
      EXPECT_TRUE(close(y, split.own(joined)));
      EXPECT_TRUE(close(part.grad(), split.own(all.grad())));
    }
    EXPECT_TRUE(close(group()->all_reduce_sum(several->weight.grad()), one->weight.grad()));
    EXPECT_TRUE(close(group()->all_reduce_sum(several->bias.grad()), one->bias.grad()));
    EXPECT_TRUE(close(several->running_mean, one->running_mean));
    EXPECT_TRUE(close(several->running_var, one->running_var));
    EXPECT_TRUE(at::equal(several->num_batches_tracked, one->num_batches_tracked));
    const auto x = noise(sizes, 3).to(type);
    several->eval();
    one->eval();
    EXPECT_TRUE(close(several->forward(x), one->forward(x)));
  }
}

}  // namespace

TEST(Rank, JoinedBatchOfBatchNorm) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    expect_norm_of_joined_batch<torch::nn::BatchNorm1d>({kImages, 5}, type);
    expect_norm_of_joined_batch<torch::nn::BatchNorm2d>({kImages, 5, 3, 2}, type);
  }
}

TEST(Rank, JoinedBatchOfBatchNormInHalfPrecision) {
  const auto split = splits(kImages)[0];
  BatchNorm several(5), one(5);
  several->collectives = group();
  const auto x = noise({kImages, 5, 3, 2}, 1).to(torch::kBFloat16);
  const auto g = noise({kImages, 5, 3, 2}, 2).to(torch::kBFloat16);
  const auto all = leaf(x), part = leaf(split.own(x));
  one->forward(all).backward(g);
  const auto y = several->forward(part);
  y.backward(split.own(g));
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(close(several->running_mean, one->running_mean));
  EXPECT_TRUE(close(several->running_var, one->running_var));
  const auto largest = all.grad().abs().max().item<double>();
  EXPECT_TRUE(within(part.grad(), split.own(all.grad()), 0.01 * largest));  // rounded three times
}

TEST(Rank, JoinedBatchOfBatchNormWithOneRowOrNone) {
  for (const std::int64_t rows : {0, 1}) {
    BatchNorm norm(3);
    norm->collectives = group();
    norm->forward(noise({2 + group()->rank(), 3}, 1).to(torch::kFloat));
    const auto mean = norm->running_mean.clone(), variance = norm->running_var.clone();
    const auto own_rows = group()->rank() == 1 ? rows : 0;
    const auto x = leaf(noise({own_rows, 3}, 2).to(torch::kFloat));
    const auto y = norm->forward(x);
    EXPECT_TRUE(close(y, (x - mean) / (variance + 1e-5).sqrt()));
    EXPECT_TRUE(at::equal(norm->running_mean, mean));
    EXPECT_TRUE(at::equal(norm->running_var, variance));
    EXPECT_EQ(norm->num_batches_tracked.item<std::int64_t>(), 1);
    y.sum().backward();
    EXPECT_TRUE(close(x.grad(), ((variance + 1e-5).rsqrt()).expand({own_rows, 3})));
    EXPECT_TRUE(norm->weight.grad().defined());
  }
}

// ---- The whole model ----

namespace {

using Model = slotcon::SlotCon<ResNet>;

constexpr int kSteps = 20;
constexpr double kGrownRounding = 1e-9;        // of float64, in twenty steps
constexpr std::int64_t kManyPrototypes = 200;  // so that views of four positions may share no slot

Model small_model() {
  torch::manual_seed(1);
  const auto encoder = ResNetOptions(ResNetOptions::Block::kBasic, {1, 1})
                           .width(4)
                           .stem(ResNetOptions::Stem::kSmall)
                           .stem_stride(2)
                           .zero_init_residual(false);
  Model model(ResNet(encoder),
              SlotConOptions().hidden_dim(6).loss(SlotConLossOptions(kManyPrototypes, kDim)));
  model->to(torch::kDouble);
  return model;
}

TwoViews random_views(std::uint64_t seed) {
  const auto images = [&](std::uint64_t s) { return noise({kImages, 3, 8, 8}, s); };
  return {{images(seed), images(seed + 1)},
          {random_geometry(kImages, seed + 2), random_geometry(kImages, seed + 4)}};
}

struct Trained {
  Model model = small_model();
  int steps_without_contrast = 0;
};

/// Trains with the images of `split`, in the group; with all of them and alone without one.
Trained train(const Split* split) {
  Trained run;
  auto& model = run.model;
  const slotcon::CollectivesPtr collectives = split == nullptr ? nullptr : group();
  model->join(collectives);
  slotcon::GradientAverage average(model->parameters(), collectives,
                                   slotcon::GradientAverageOptions().bucket_bytes(1000));
  slotcon::Lars optimizer(model->parameters(), slotcon::LarsOptions(0.5).weight_decay(1e-3));
  for (int step = 0; step < kSteps; ++step) {
    auto views = random_views(100 * static_cast<std::uint64_t>(step));
    if (split != nullptr) {
      views = {own(*split, views.images), own(*split, views.geometry)};
    }
    model->update_teacher(0.9);
    const auto output = model->forward(views);
    optimizer.zero_grad();
    average.start();
    output.loss.backward();
    average.finish();
    optimizer.step();
    model->commit();
    run.steps_without_contrast += output.contrast.item<double>() == 0 ? 1 : 0;
  }
  return run;
}

}  // namespace

TEST(Rank, JoinedBatchOfTwentySteps) {
  const auto few_for_last = splits(kImages)[2];
  const auto one = train(nullptr), several = train(&few_for_last);
  const auto start = small_model()->named_parameters();
  const auto parameters = one.model->named_parameters(), buffers = one.model->named_buffers();
  for (const auto& parameter : several.model->named_parameters()) {
    const auto& expected = parameters[parameter.key()];
    EXPECT_TRUE(within(parameter.value(), expected, kGrownRounding)) << parameter.key();
    EXPECT_FALSE(at::equal(expected, start[parameter.key()])) << parameter.key();
  }
  for (const auto& buffer : several.model->named_buffers()) {
    EXPECT_TRUE(within(buffer.value(), buffers[buffer.key()], kGrownRounding)) << buffer.key();
  }
  // Of the one image of the last process, the views share no slot in some of the steps.
  if (group()->rank() + 1 == group()->size()) {
    EXPECT_GT(several.steps_without_contrast, 0);
    EXPECT_LT(several.steps_without_contrast, kSteps);
  }
}

TEST(Rank, JoinedBatchOfTrainingStepsThatClip) {
  const auto train_with = [](const Split* split) {
    auto model = small_model();
    model->join(split == nullptr ? nullptr : group());
    slotcon::Lars optimizer(model->parameters(), slotcon::LarsOptions(0.5).weight_decay(1e-3));
    slotcon::TrainingStep step(model, optimizer, slotcon::TrainingStepOptions().clip_norm(0.1));
    for (int i = 0; i < 3; ++i) {
      auto views = random_views(100 * static_cast<std::uint64_t>(i));
      if (split != nullptr) views = {own(*split, views.images), own(*split, views.geometry)};
      const auto result = step.run(views, 0.9);
      EXPECT_FALSE(result.skipped);
      EXPECT_GT(result.gradient_norm, 0.1);
    }
    return model;
  };
  const auto even = splits(kImages)[0];
  const auto one = train_with(nullptr), several = train_with(&even);
  const auto parameters = one->named_parameters();
  for (const auto& parameter : several->named_parameters()) {
    EXPECT_TRUE(within(parameter.value(), parameters[parameter.key()], kGrownRounding))
        << parameter.key();
  }
}
