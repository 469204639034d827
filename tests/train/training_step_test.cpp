#include <gtest/gtest.h>
#include <slotcon/model/resnet.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/train/checkpoint.h>
#include <slotcon/train/training_step.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/noise.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

namespace {

using slotcon::NamedTensors;
using slotcon::ResNet;
using slotcon::ResNetOptions;
using slotcon::SlotDiagnostics;
using slotcon::TrainingStepOptions;
using slotcon::TwoViews;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::within;

using Model = slotcon::SlotCon<ResNet>;
using TrainingStep = slotcon::TrainingStep<Model>;

constexpr std::int64_t kPrototypes = 5;
constexpr double kMomentum = 0.75;
constexpr auto kNaN = std::numeric_limits<double>::quiet_NaN();

/// 3x16x16 images to maps of 4x4; none of its weights starts at 0.
Model small_model() {
  torch::manual_seed(1);
  const auto encoder = ResNetOptions(ResNetOptions::Block::kBasic, {1, 1})
                           .width(4)
                           .stem(ResNetOptions::Stem::kSmall)
                           .stem_stride(2)
                           .zero_init_residual(false);
  return Model(ResNet(encoder), slotcon::SlotConOptions().hidden_dim(6).loss(
                                    slotcon::SlotConLossOptions(kPrototypes, 4)));
}

Model copy_of(const Model& model) {
  return Model(std::dynamic_pointer_cast<Model::ContainedType>(model->clone()));
}

TwoViews random_views(std::int64_t images, std::uint64_t seed) {
  TwoViews views;
  for (std::size_t v = 0; v < 2; ++v) {
    views.images[v] = floats({images, 3, 16, 16}, seed + v);
    views.geometry[v] = {torch::tensor({0.1F, 0.0F, 1.0F, 0.9F}).repeat({images, 1}),
                         floats({images}, seed + 10 + v) > 0};
  }
  return views;
}

TwoViews with_nan(TwoViews views) {
  views.images[1] = views.images[1].clone();
  views.images[1][0][0][3][3] = kNaN;
  return views;
}

std::vector<torch::Tensor> trained_parameters(const Model& model) {
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : model->parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  return trained;
}

std::unique_ptr<torch::optim::Optimizer> adamw(const Model& model) {
  return std::make_unique<torch::optim::AdamW>(trained_parameters(model),
                                               torch::optim::AdamWOptions(0.01));
}

std::unique_ptr<torch::optim::Optimizer> descent(const Model& model, double rate) {
  return std::make_unique<torch::optim::SGD>(trained_parameters(model),
                                             torch::optim::SGDOptions(rate));
}

/// Parameters and buffers as they are now.
NamedTensors state_of(const Model& model) {
  NamedTensors state;
  for (const auto& [name, tensor] : slotcon::module_state(*model)) state[name] = tensor.clone();
  return state;
}

void expect_equal(const NamedTensors& actual, const NamedTensors& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
  }
}

NamedTensors gradients_by_name(const Model& model) {
  NamedTensors gradients;
  for (const auto& entry : model->named_parameters()) {
    if (entry.value().grad().defined()) gradients[entry.key()] = entry.value().grad();
  }
  return gradients;
}

/// The norm of everything that has a gradient, in float64.
double norm_of(const NamedTensors& gradients) {
  double sum = 0;
  for (const auto& [name, gradient] : gradients) {
    sum += gradient.to(torch::kDouble).square().sum().item<double>();
  }
  return std::sqrt(sum);
}

// ---- The step ----

TEST(TrainingStep, IsThePublishedSequenceOfSteps) {
  const double momenta[] = {0.9, 0.92, 0.95, 1.0};
  auto model = small_model();
  auto published = copy_of(model);
  const auto optimizer = adamw(model), other_optimizer = adamw(published);
  TrainingStep step(model, *optimizer);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto views = random_views(4, i);
    const auto result = step.run(views, momenta[i + 1]);

    if (i > 0) published->update_teacher(momenta[i]);  // the first finds teacher and student equal
    const auto output = published->forward(views);
    other_optimizer->zero_grad();
    output.loss.backward();
    other_optimizer->step();
    published->commit();

    EXPECT_FALSE(result.skipped);
    EXPECT_TRUE(at::equal(result.loss, output.loss.detach()));
    EXPECT_TRUE(at::equal(result.grouping, output.grouping.detach()));
    EXPECT_TRUE(at::equal(result.contrast, output.contrast.detach()));
    EXPECT_FALSE(result.loss.requires_grad());
    EXPECT_NEAR(result.gradient_norm, norm_of(gradients_by_name(published)), 1e-4);
  }
  expect_equal(state_of(model), state_of(published));  // momentum 1 moved no teacher
}

TEST(TrainingStep, TeacherFollowsTheStudentThatTheStepMade) {
  auto model = small_model();
  const auto before = state_of(model);
  const auto optimizer = adamw(model);
  TrainingStep(model, *optimizer).run(random_views(4, 1), kMomentum);
  const auto after = state_of(model);
  for (const auto& [name, teacher] : after) {
    const auto k = name.find("_k.");
    if (k == std::string::npos || name.find("running_") != std::string::npos ||
        name.find("num_batches") != std::string::npos) {
      continue;
    }
    auto student = name;
    student[k + 1] = 'q';
    const auto expected =
        kMomentum * before.at(name).to(torch::kDouble) + (1 - kMomentum) * after.at(student);
    EXPECT_TRUE(close(teacher, expected)) << name;
    EXPECT_FALSE(at::equal(teacher, before.at(name))) << name;
  }
}

// ---- Parts ----

TEST(TrainingStep, PartsGiveTheGradientOfTheMeanOfTheirLosses) {
  constexpr std::int64_t kParts = 3;
  auto model = small_model();
  auto twin = copy_of(model);
  const auto views = random_views(6, 2);
  const auto optimizer = descent(model, 0);
  const auto result =
      TrainingStep(model, *optimizer, TrainingStepOptions().parts(kParts)).run(views, 1);

  torch::Tensor mean = torch::zeros({}), scores = torch::zeros({kPrototypes});
  for (std::int64_t i = 0; i < kParts; ++i) {
    const auto part = slotcon::slice(views, 2 * i, 2 * i + 2);
    mean = mean + twin->forward(part).loss / kParts;
    auto teacher = copy_of(twin);  // in training mode: its norms go by the images of the part
    for (const auto& images : part.images) {
      scores += teacher->segment(images).scores.mean(c10::IntArrayRef{0, 2, 3}) / (2 * kParts);
    }
  }
  mean.backward();
  EXPECT_NEAR(result.loss.item<double>(), mean.item<double>(), 1e-6);
  const auto gradients = gradients_by_name(model), expected = gradients_by_name(twin);
  ASSERT_EQ(gradients.size(), expected.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_TRUE(within(gradients.at(name), gradient, 1e-6 * norm_of(expected))) << name;
  }
  // From zeros the centre has moved once, by a tenth of the mean score of all parts.
  EXPECT_TRUE(within(model->loss->assignment->center, 0.1 * scores.view({1, -1}), 1e-7));
}

TEST(TrainingStep, PartsTakeOneOptimiserStepAndMoveTheTeacherOnce) {
  auto model = small_model();
  const auto before = state_of(model);
  const auto optimizer = descent(model, 0.5);
  TrainingStep(model, *optimizer, TrainingStepOptions().parts(2))
      .run(random_views(4, 3), kMomentum);
  const auto gradients = gradients_by_name(model);
  const auto after = state_of(model);
  const std::string student = "grouping_q.slot_embed.weight",
                    teacher = "grouping_k.slot_embed.weight";
  EXPECT_TRUE(close(after.at(student), before.at(student) - 0.5 * gradients.at(student)));
  EXPECT_TRUE(close(after.at(teacher),
                    kMomentum * before.at(teacher) + (1 - kMomentum) * after.at(student)));
}

TEST(TrainingStep, DiagnosticsOfPartsAreThoseOfAllTheirImages) {
  const auto observed = [](std::int64_t images, std::uint64_t seed) {
    SlotDiagnostics::Observed o;
    for (std::size_t v = 0; v < 2; ++v) {
      o.scores[v] = floats({images, 3, 2, 2}, seed + v);
      o.boxes[v] = torch::tensor({0.0F, 0.0F, 1.0F, 1.0F}).repeat({images, 1});
    }
    o.scores[0].select(1, 2) -= 9;  // the third prototype wins nothing here ...
    o.scores[1].select(1, 2) -= 9;
    o.assigner = [](const torch::Tensor& scores) { return at::softmax(scores, 1); };
    o.center_norm = torch::ones({});
    return o;
  };
  auto first = observed(2, 1), second = observed(2, 5);
  second.scores[1][0][2][0][0] = 99;       // ... but once in the second part
  second.boxes[0][1] = torch::zeros({4});  // of whose views one shares nothing
  const SlotDiagnostics a(first), b(second);
  const auto both = SlotDiagnostics::joined({a, b});
  const auto mean = [](const torch::Tensor& x, const torch::Tensor& y) { return (x + y) / 2; };
  EXPECT_TRUE(close(both.active_slots(), mean(a.active_slots(), b.active_slots())));
  EXPECT_TRUE(close(both.teacher_entropy(), mean(a.teacher_entropy(), b.teacher_entropy())));
  EXPECT_EQ(both.disjoint_share().item<float>(), 1.0F / 8);
  EXPECT_EQ(a.dead_prototypes().item<float>(), 1);
  EXPECT_EQ(both.dead_prototypes().item<float>(), 0);
  EXPECT_EQ(both.positions(), 2 * 4 * 4);
  EXPECT_EQ(both.center_norm().item<float>(), 1);
}

TEST(TrainingStep, RefusesABatchThatDoesNotSplit) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  TrainingStep step(model, *optimizer, TrainingStepOptions().parts(3));
  EXPECT_EQ(error_text<c10::ValueError>([&] { step.run(random_views(4, 1), 1); }),
            "TrainingStep: expected a batch of 3 equal parts, got one of 4 images");
}

// ---- Clipping ----

TEST(TrainingStep, ClippingScalesTheWholeGradientToTheNorm) {
  auto free = small_model();
  auto clipped = copy_of(free);
  const auto views = random_views(4, 4);
  const auto free_optimizer = descent(free, 1), clipped_optimizer = descent(clipped, 1);
  const auto result = TrainingStep(free, *free_optimizer).run(views, 1);
  const auto norm = result.gradient_norm;
  const auto options = TrainingStepOptions().clip_norm(norm / 4);
  EXPECT_EQ(TrainingStep(clipped, *clipped_optimizer, options).run(views, 1).gradient_norm, norm);
  const auto whole = gradients_by_name(free);
  for (const auto& [name, gradient] : gradients_by_name(clipped)) {
    EXPECT_TRUE(within(gradient, whole.at(name) / 4, 1e-6 * norm)) << name;
  }
}

TEST(TrainingStep, ClippingLeavesASmallerGradientAsItIs) {
  auto free = small_model();
  auto bounded = copy_of(free);
  const auto views = random_views(4, 4);
  const auto free_optimizer = adamw(free), bounded_optimizer = adamw(bounded);
  TrainingStep(free, *free_optimizer).run(views, kMomentum);
  TrainingStep(bounded, *bounded_optimizer, TrainingStepOptions().clip_norm(1e6))
      .run(views, kMomentum);
  expect_equal(state_of(bounded), state_of(free));
}

// ---- Steps that do not count ----

TEST(TrainingStep, SkippedStepLeavesNoTrace) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  TrainingStep step(model, *optimizer, TrainingStepOptions().parts(2));
  step.run(random_views(4, 1), kMomentum);
  auto twin = copy_of(model);
  const auto twin_optimizer = adamw(twin);
  slotcon::load_optimizer_state(*twin_optimizer, slotcon::optimizer_state(*optimizer));
  TrainingStep without(twin, *twin_optimizer, TrainingStepOptions().parts(2));

  const auto before = state_of(model);
  const auto optimizer_before = slotcon::optimizer_state(*optimizer);
  const auto result = step.run(with_nan(random_views(4, 2)), kMomentum);
  EXPECT_TRUE(result.skipped);
  EXPECT_TRUE(std::isnan(result.gradient_norm));
  EXPECT_EQ(step.state().skipped, 1);
  expect_equal(state_of(model), before);
  EXPECT_TRUE(at::equal(slotcon::optimizer_state(*optimizer), optimizer_before));

  const auto next = random_views(4, 3);
  EXPECT_FALSE(step.run(next, kMomentum).skipped);
  without.run(next, kMomentum);
  expect_equal(state_of(model), state_of(twin));
  EXPECT_EQ(step.state().skipped, 1);
  EXPECT_EQ(step.state().skipped_in_a_row, 0);
}

/// An infinite entry in the gradient of the model's prototypes, for the life of the object.
class Overflow {
 public:
  explicit Overflow(Model model)
      : prototypes_(model->loss->grouping_q->prototypes()),
        hook_(prototypes_.register_hook([](const torch::Tensor& gradient) {
          auto overflown = gradient.clone();
          overflown[0][0] = std::numeric_limits<float>::infinity();
          return overflown;
        })) {}
  ~Overflow() { prototypes_.remove_hook(hook_); }
  Overflow(const Overflow&) = delete;
  Overflow& operator=(const Overflow&) = delete;

 private:
  torch::Tensor prototypes_;
  unsigned hook_;
};

TEST(TrainingStep, InfiniteGradientOfAFiniteLossIsSkippedToo) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  TrainingStep step(model, *optimizer);
  const auto before = state_of(model);
  const auto views = random_views(4, 1);
  {
    const Overflow overflow(model);
    const auto result = step.run(views, kMomentum);
    EXPECT_TRUE(result.skipped);
    EXPECT_TRUE(result.loss.isfinite().item<bool>());
  }
  expect_equal(state_of(model), before);
  EXPECT_FALSE(step.run(views, kMomentum).skipped);
}

TEST(TrainingStep, IsSkippedOnEveryProcessOfAGroup) {
  const auto fresh = small_model();
  slotcon::testing::run_group(2, [&fresh](const slotcon::CollectivesPtr& group) {
    auto model = copy_of(fresh);
    model->loss->collectives = group;
    const auto optimizer = adamw(model);
    TrainingStep step(model, *optimizer);
    const auto rank = group->rank();
    const auto views = random_views(4, 7 * static_cast<std::uint64_t>(rank));
    {
      std::optional<Overflow> overflow;
      if (rank == 1) overflow.emplace(model);
      const auto bad = step.run(views, kMomentum);
      EXPECT_TRUE(bad.skipped) << "rank " << rank;
      EXPECT_FALSE(std::isfinite(bad.gradient_norm)) << "rank " << rank;  // that of all
    }
    expect_equal(state_of(model), state_of(fresh));
    EXPECT_FALSE(step.run(views, kMomentum).skipped) << "rank " << rank;
  });
}

TEST(TrainingStep, EndsWhenStepAfterStepIsSkipped) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  TrainingStep step(model, *optimizer, TrainingStepOptions().patience(3));
  const auto good = random_views(4, 1), bad = with_nan(good);
  for (const auto& views : {bad, bad, good, bad, bad}) step.run(views, kMomentum);
  const auto before = state_of(model);
  EXPECT_EQ(
      error_text<slotcon::TrainingDiverged>([&] { step.run(bad, kMomentum); }),
      "TrainingStep: 3 steps in a row were skipped, the last with a loss of nan and a gradient "
      "norm of nan: the training has diverged. Lower the learning rate, warm up for longer or "
      "clip the gradients; with float16, take bfloat16");
  expect_equal(state_of(model), before);
  EXPECT_EQ(step.state().skipped, 5);
}

// ---- Precision ----

TEST(TrainingStep, BFloat16IsNearFloat32AndKeepsEverythingElseInFloat32) {
  auto model = small_model();
  auto half = copy_of(model);
  const auto views = random_views(4, 5);
  const auto optimizer = descent(model, 0), half_optimizer = descent(half, 0);
  const auto exact = TrainingStep(model, *optimizer).run(views, 1);
  const auto result =
      TrainingStep(half, *half_optimizer, TrainingStepOptions().precision(torch::kBFloat16))
          .run(views, 1);
  EXPECT_NE(result.loss.item<float>(), exact.loss.item<float>());  // it was in use
  EXPECT_NEAR(result.loss.item<double>(), exact.loss.item<double>(), 0.02);
  for (const auto& figure : {result.loss, result.grouping, result.contrast}) {
    EXPECT_EQ(figure.scalar_type(), torch::kFloat);
  }
  const auto gradients = gradients_by_name(half);
  EXPECT_NEAR(norm_of(gradients), exact.gradient_norm, 0.1 * exact.gradient_norm);
  for (const auto& [name, gradient] : gradients) {
    EXPECT_EQ(gradient.scalar_type(), torch::kFloat) << name;
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST(TrainingStep, Float16ScalesTheLossUntilTheGradientFitsAndTakesItBack) {
  auto model = small_model();
  auto half = copy_of(model);
  const auto views = random_views(2, 5);
  const auto optimizer = descent(model, 0), half_optimizer = descent(half, 0);
  const auto exact = TrainingStep(model, *optimizer).run(views, 1);
  TrainingStep step(half, *half_optimizer, TrainingStepOptions().precision(torch::kHalf));
  EXPECT_EQ(step.loss_scale(), 65536);
  const auto before = state_of(half);
  // A scale that overflows is halved, step by step, with nothing else changed.
  step.load_state({{1e30, 5}, 0, 0});
  EXPECT_TRUE(step.run(views, 1).skipped);
  EXPECT_EQ(step.loss_scale(), 5e29);
  expect_equal(state_of(half), before);
  // One that fits leaves the gradient that float32 has, up to its own rounding.
  step.load_state({{64, 1999}, 1, 1});
  const auto result = step.run(views, 1);
  EXPECT_FALSE(result.skipped);
  EXPECT_EQ(step.loss_scale(), 128);  // the 2000th good step in a row
  EXPECT_NEAR(result.loss.item<double>(), exact.loss.item<double>(), 0.02);
  EXPECT_NEAR(result.gradient_norm, exact.gradient_norm, 0.1 * exact.gradient_norm);
  EXPECT_NEAR(norm_of(gradients_by_name(half)), exact.gradient_norm, 0.1 * exact.gradient_norm);
}

TEST(TrainingStep, GoesOnFromItsSavedState) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  TrainingStep step(model, *optimizer, TrainingStepOptions().precision(torch::kHalf));
  step.load_state({{256, 7}, 3, 2});
  const auto state = step.state();
  EXPECT_EQ(state.scaler.scale, 256);
  EXPECT_EQ(state.scaler.good_steps, 7);
  EXPECT_EQ(state.skipped, 3);
  EXPECT_EQ(state.skipped_in_a_row, 2);
  EXPECT_EQ(step.loss_scale(), 256);
}

TEST(TrainingStep, RejectsNumbersOutOfRange) {
  auto model = small_model();
  const auto optimizer = adamw(model);
  EXPECT_EQ(error_text<c10::ValueError>([&] {
              TrainingStep(model, *optimizer, TrainingStepOptions().parts(0).clip_norm(2));
            }),
            "TrainingStep: expected parts >= 1, clip_norm >= 0 and patience >= 1, got 0, 2 and 20");
  TrainingStep step(model, *optimizer, TrainingStepOptions().precision(torch::kDouble));
  EXPECT_EQ(error_text<c10::TypeError>([&] { step.run(random_views(2, 1), 1); }),
            "Autocast: expected Float, BFloat16 or Half, got Double");
}

// ---- What it is made of ----

TEST(KeptBuffers, ComeBackToTheBit) {
  torch::nn::BatchNorm1d norm(3);
  slotcon::KeptBuffers kept(*norm);
  norm->forward(floats({4, 3}, 1));
  kept.keep();
  const auto mean = norm->running_mean.clone(), variance = norm->running_var.clone();
  norm->forward(floats({4, 3}, 2));
  EXPECT_FALSE(at::equal(norm->running_mean, mean));
  kept.restore();
  EXPECT_TRUE(at::equal(norm->running_mean, mean));
  EXPECT_TRUE(at::equal(norm->running_var, variance));
  EXPECT_EQ(norm->num_batches_tracked.item<std::int64_t>(), 1);
  slotcon::KeptBuffers(*torch::nn::Linear(2, 2)).restore();  // no buffers: nothing to do
}

TEST(Gradients, NormIsThatOfAllTogether) {
  auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({1, 1}).requires_grad_();
  const auto unused = torch::zeros({7}).requires_grad_();
  a.mutable_grad() = torch::tensor({2.0F, 3.0F});
  b.mutable_grad() = torch::tensor({{6.0F}});
  const auto gradients = slotcon::gradients_of({a, unused, b});
  ASSERT_EQ(gradients.size(), 2U);
  EXPECT_EQ(slotcon::gradient_norm(gradients).item<float>(), 7);
  EXPECT_EQ(slotcon::gradient_norm({}).item<float>(), 0);
  slotcon::scale_gradients(gradients, 0.5);
  EXPECT_TRUE(at::equal(a.grad(), torch::tensor({1.0F, 1.5F})));
  EXPECT_EQ(slotcon::clip_factor(8, 2), 0.25);
  EXPECT_EQ(slotcon::clip_factor(1, 2), 1);
  b.mutable_grad() = torch::tensor({{-std::numeric_limits<float>::infinity()}});
  EXPECT_FALSE(slotcon::gradient_norm(slotcon::gradients_of({a, b})).isfinite().item<bool>());
}

}  // namespace
