#include <gtest/gtest.h>
#include <slotcon/io/weights.h>
#include <slotcon/model/resnet.h>
#include <slotcon/model/slotcon.h>
#include <slotcon/model/teacher.h>
#include <slotcon/train/module_state.h>
#include <torch/nn/modules/linear.h>
#include <torch/serialize.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tolerance.h"

using slotcon::ResNet;
using slotcon::ResNetOptions;
using slotcon::SinkhornSlotConLoss;
using slotcon::SlotConLoss;
using slotcon::SlotConLossOptions;
using slotcon::SlotConOptions;
using slotcon::TwoViews;
using slotcon::ViewGeometry;
using slotcon::testing::close;
using slotcon::testing::noise;

using Names = std::vector<std::string>;

namespace {

constexpr std::int64_t kPrototypes = 5;

template <class Loss = SlotConLoss>
using Model = slotcon::SlotCon<ResNet, Loss>;

/// 3x16x16 images to maps [B,8,4,4]; none of its weights starts at 0.
template <class Loss = SlotConLoss>
Model<Loss> small_model(std::uint64_t seed = 1) {
  torch::manual_seed(seed);
  const auto encoder = ResNetOptions(ResNetOptions::Block::kBasic, {1, 1})
                           .width(4)
                           .stem(ResNetOptions::Stem::kSmall)
                           .stem_stride(2)
                           .zero_init_residual(false);
  return Model<Loss>(ResNet(encoder),
                     SlotConOptions().hidden_dim(6).loss(SlotConLossOptions(kPrototypes, 4)));
}

TwoViews random_views(std::int64_t images, std::uint64_t seed = 1) {
  const auto geometry = [&](std::uint64_t s) {
    const auto corners = at::sigmoid(noise({images, 2, 2}, s));
    return ViewGeometry{at::cat({at::amin(corners, 1), at::amax(corners, 1)}, 1).to(torch::kFloat),
                        noise({images}, s + 1) > 0};
  };
  const auto view = [&](std::uint64_t s) {
    return noise({images, 3, 16, 16}, s).to(torch::kFloat);
  };
  return {{view(seed), view(seed + 1)}, {geometry(seed + 2), geometry(seed + 4)}};
}

TwoViews images(const TwoViews& views, std::int64_t begin, std::int64_t end) {
  TwoViews part;
  for (std::size_t v = 0; v < 2; ++v) {
    part.images[v] = views.images[v].slice(0, begin, end);
    part.geometry[v] = {views.geometry[v].boxes.slice(0, begin, end),
                        views.geometry[v].flipped.slice(0, begin, end)};
  }
  return part;
}

/// Parameters and buffers by name.
template <class Module>
std::vector<std::pair<std::string, torch::Tensor>> state(const Module& module) {
  std::vector<std::pair<std::string, torch::Tensor>> all;
  for (const auto& entry : module->named_parameters()) all.emplace_back(entry.key(), entry.value());
  for (const auto& entry : module->named_buffers()) all.emplace_back(entry.key(), entry.value());
  return all;
}

template <class A, class B>
void expect_same_state(const A& a, const B& b) {
  const auto left = state(a), right = state(b);
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(at::equal(left[i].second, right[i].second)) << left[i].first;
  }
}

template <class Holder>
auto clone_of(const Holder& module) {
  return std::dynamic_pointer_cast<typename Holder::ContainedType>(module->clone());
}

/// Whether a parameter belongs to the teacher, by its published name.
bool of_teacher(const std::string& name) {
  return name.rfind("encoder_k.", 0) == 0 || name.rfind("projector_k.", 0) == 0 ||
         name.rfind("grouping_k.", 0) == 0;
}

/// One optimiser step of plain gradient descent.
template <class ModelPointer>
void descend(const ModelPointer& model, double rate) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) {
    if (parameter.grad().defined()) parameter.sub_(parameter.grad(), rate);
  }
}

Names prefixed(const std::string& prefix, const Names& names) {
  Names result;
  for (const auto& name : names) result.push_back(prefix + name);
  return result;
}

Names concatenated(const std::vector<Names>& lists) {
  Names result;
  for (const auto& list : lists) result.insert(result.end(), list.begin(), list.end());
  return result;
}

}  // namespace

// ---- The teacher of any module ----

TEST(Teacher, StartsAsAFrozenCopy) {
  torch::nn::Linear student(3, 2), teacher(3, 2);
  slotcon::start_teacher(*teacher, *student);
  EXPECT_TRUE(at::equal(teacher->weight, student->weight));
  EXPECT_TRUE(at::equal(teacher->bias, student->bias));
  EXPECT_FALSE(teacher->weight.requires_grad() || teacher->bias.requires_grad());
  EXPECT_TRUE(student->weight.requires_grad() && student->bias.requires_grad());
  EXPECT_NE(teacher->weight.data_ptr(), student->weight.data_ptr());
}

TEST(Teacher, FollowsAsAMovingAverageOfParametersAlone) {
  torch::nn::BatchNorm1d student(3), teacher(3);
  slotcon::start_teacher(*teacher, *student);
  const torch::NoGradGuard no_grad;
  student->weight.fill_(5);
  student->bias.fill_(-4);
  student->running_mean.fill_(7);
  slotcon::update_teacher(*teacher, *student, 0.75);
  EXPECT_TRUE(at::equal(teacher->weight, torch::full({3}, 2.0f)));
  EXPECT_TRUE(at::equal(teacher->bias, torch::full({3}, -1.0f)));
  EXPECT_TRUE(at::equal(teacher->running_mean, torch::zeros({3})));
}

TEST(Teacher, SaysWhenTheModulesDiffer) {
  torch::nn::Linear student(3, 2);
  torch::nn::Linear teacher(torch::nn::LinearOptions(3, 2).bias(false));
  EXPECT_EQ(error_text<c10::ValueError>([&] { slotcon::update_teacher(*teacher, *student, 0.5); }),
            "update_moving_average: expected one value for each of 1 averages, got 2");
}

// ---- Names and sizes ----

TEST(SlotCon, ParametersAndBuffersHaveThePublishedNames) {
  const Names encoder{"conv1.weight",
                      "bn1.weight",
                      "bn1.bias",
                      "layer1.0.conv1.weight",
                      "layer1.0.bn1.weight",
                      "layer1.0.bn1.bias",
                      "layer1.0.conv2.weight",
                      "layer1.0.bn2.weight",
                      "layer1.0.bn2.bias",
                      "layer2.0.conv1.weight",
                      "layer2.0.bn1.weight",
                      "layer2.0.bn1.bias",
                      "layer2.0.conv2.weight",
                      "layer2.0.bn2.weight",
                      "layer2.0.bn2.bias",
                      "layer2.0.downsample.0.weight",
                      "layer2.0.downsample.1.weight",
                      "layer2.0.downsample.1.bias"};
  const Names head{"mlp.0.weight", "mlp.0.bias",   "mlp.1.weight", "mlp.1.bias",   "mlp.3.weight",
                   "mlp.3.bias",   "mlp.4.weight", "mlp.4.bias",   "mlp.6.weight", "mlp.6.bias"};
  const auto model = small_model();
  EXPECT_EQ(model->named_parameters().keys(),
            concatenated({prefixed("encoder_q.", encoder),
                          prefixed("encoder_k.", encoder),
                          prefixed("projector_q.", head),
                          prefixed("projector_k.", head),
                          {"grouping_q.slot_embed.weight", "grouping_k.slot_embed.weight"},
                          prefixed("predictor_slot.", head)}));
  const auto statistics = [](const std::string& module, const Names& norms) {
    Names names;
    for (const auto& norm : norms) {
      for (const auto* name : {".running_mean", ".running_var", ".num_batches_tracked"}) {
        names.push_back(module + norm + name);
      }
    }
    return names;
  };
  const Names encoder_norms{"bn1",          "layer1.0.bn1", "layer1.0.bn2",
                            "layer2.0.bn1", "layer2.0.bn2", "layer2.0.downsample.1"};
  const Names head_norms{"mlp.1", "mlp.4"};
  EXPECT_EQ(model->named_buffers().keys(),
            concatenated({{"center"},
                          statistics("encoder_q.", encoder_norms),
                          statistics("encoder_k.", encoder_norms),
                          statistics("projector_q.", head_norms),
                          statistics("projector_k.", head_norms),
                          statistics("predictor_slot.", head_norms)}));
}

TEST(SlotCon, ShapesFollowTheOptions) {
  const auto model = small_model();
  const auto parameters = model->named_parameters();
  using Sizes = std::vector<std::int64_t>;
  EXPECT_EQ(parameters["projector_q.mlp.0.weight"].sizes(), (Sizes{6, 8, 1, 1}));
  EXPECT_EQ(parameters["projector_k.mlp.6.weight"].sizes(), (Sizes{4, 6, 1, 1}));
  EXPECT_EQ(parameters["predictor_slot.mlp.0.weight"].sizes(), (Sizes{6, 4}));
  EXPECT_EQ(parameters["predictor_slot.mlp.6.weight"].sizes(), (Sizes{4, 6}));
  EXPECT_EQ(parameters["grouping_q.slot_embed.weight"].sizes(), (Sizes{kPrototypes, 4}));
  EXPECT_EQ(model->named_buffers()["center"].sizes(), (Sizes{1, kPrototypes}));
}

TEST(SlotCon, DefaultsAreThePublishedRecipe) {
  const SlotConOptions options;
  EXPECT_EQ(options.hidden_dim(), 4096);
  EXPECT_EQ(options.loss().num_prototypes(), 256);
  EXPECT_EQ(options.loss().dim(), 256);
}

TEST(SlotCon, SinkhornHasNoCentre) {
  auto model = small_model<SinkhornSlotConLoss>();
  EXPECT_FALSE(model->named_buffers().contains("center"));
  EXPECT_EQ(model->named_parameters().keys(), small_model()->named_parameters().keys());
  const auto output = model->forward(random_views(2));
  output.loss.backward();
  model->commit();
  EXPECT_TRUE(output.loss.isfinite().item<bool>());
}

// ---- The step ----

TEST(SlotCon, TeacherStartsAsTheStudentAndTakesNoGradient) {
  const auto model = small_model();
  const auto parameters = model->named_parameters();
  for (const auto& parameter : parameters) {
    const auto& name = parameter.key();
    EXPECT_EQ(parameter.value().requires_grad(), !of_teacher(name)) << name;
    if (!of_teacher(name)) continue;
    auto student = name;
    student[name.find("_k.") + 1] = 'q';
    EXPECT_TRUE(at::equal(parameter.value(), parameters[student])) << name;
    EXPECT_NE(parameter.value().data_ptr(), parameters[student].data_ptr()) << name;
  }
}

TEST(SlotCon, ForwardIsTheLossOfProjectedFeaturesOfEachViewAlone) {
  auto model = small_model();
  const auto twin = clone_of(model);
  const auto views = random_views(3);
  const auto project = [](auto& encoder, auto& projector, const torch::Tensor& view) {
    return projector->forward(encoder->forward(view));
  };
  const auto student = [&](std::size_t v) {
    return project(twin->encoder_q, twin->projector_q, views.images[v]);
  };
  const auto teacher = [&](std::size_t v) {
    return project(twin->encoder_k, twin->projector_k, views.images[v]);
  };
  const auto s0 = student(0), s1 = student(1), t0 = teacher(0), t1 = teacher(1);
  const auto expected = twin->loss->forward({s0, s1}, {t0, t1}, views.geometry);
  const auto output = model->forward(views);
  EXPECT_TRUE(at::equal(output.loss, expected.loss));
  EXPECT_TRUE(at::equal(output.grouping, expected.grouping));
  EXPECT_TRUE(at::equal(output.contrast, expected.contrast));
  expect_same_state(model, twin);  // running statistics too: view 1, then view 2
}

TEST(SlotCon, EveryStudentParameterLearnsAndNoneOfTheTeacher) {
  auto model = small_model();
  model->forward(random_views(3)).loss.backward();
  for (const auto& parameter : model->named_parameters()) {
    const auto& gradient = parameter.value().grad();
    ASSERT_EQ(gradient.defined(), !of_teacher(parameter.key())) << parameter.key();
    EXPECT_TRUE(!gradient.defined() || gradient.isfinite().all().item<bool>()) << parameter.key();
  }
}

TEST(SlotCon, TeacherIsTheMovingAverageOfParametersWithStatisticsOfItsOwn) {
  auto model = small_model();
  const auto views = random_views(3);
  model->update_teacher(0.75);  // before the first step: nothing moves
  for (int step = 0; step < 2; ++step) {
    const auto start = clone_of(model);
    model->forward(views).loss.backward();
    descend(model, 0.5);
    const auto learned = clone_of(model);
    model->update_teacher(0.75);
    const auto before = start->named_parameters(), student = learned->named_parameters();
    for (const auto& parameter : model->named_parameters()) {
      const auto& name = parameter.key();
      if (!of_teacher(name)) {
        EXPECT_TRUE(at::equal(parameter.value(), student[name])) << name;
        continue;
      }
      auto student_name = name;
      student_name[name.find("_k.") + 1] = 'q';
      const auto expected = 0.75 * before[name].to(torch::kDouble) + 0.25 * student[student_name];
      EXPECT_TRUE(close(parameter.value(), expected)) << name;
      EXPECT_FALSE(parameter.value().requires_grad()) << name;
    }
    const auto statistics = learned->named_buffers();
    for (const auto& buffer : model->named_buffers()) {
      EXPECT_TRUE(at::equal(buffer.value(), statistics[buffer.key()])) << buffer.key();
    }
  }
  model->forward(views);
  const auto buffers = model->named_buffers();
  EXPECT_FALSE(at::equal(buffers["encoder_k.layer2.0.bn1.running_mean"],
                         buffers["encoder_q.layer2.0.bn1.running_mean"]));
  EXPECT_TRUE(at::equal(buffers["encoder_k.bn1.num_batches_tracked"],
                        buffers["encoder_q.bn1.num_batches_tracked"]));
}

TEST(SlotCon, TeachersForwardSeesTheUpdateBeforeIt) {
  auto late = small_model(), early = small_model();
  {
    const torch::NoGradGuard no_grad;
    for (auto model : {late, early}) model->named_parameters()["projector_q.mlp.6.bias"].add_(1);
  }
  early->update_teacher(0.5);
  const auto views = random_views(3);
  const auto first = early->forward(views).loss, second = late->forward(views).loss;
  EXPECT_FALSE(at::equal(first, second));
  late->update_teacher(0.5);
  late->eval();
  early->eval();  // the same running statistics: both have seen the views once
  EXPECT_TRUE(
      at::equal(late->segment(views.images[0]).scores, early->segment(views.images[0]).scores));
}

TEST(SlotCon, CentreMovesAtCommitByAllThatWasSeen) {
  auto whole = small_model(), halves = small_model();
  // Fixed statistics: what an image's scores are does not depend on its batch.
  const auto views = random_views(4);
  for (auto model : {whole, halves}) {
    model->eval();
    model->loss->train();
  }
  whole->forward(views);
  EXPECT_TRUE(at::equal(whole->named_buffers()["center"], torch::zeros({1, kPrototypes})));
  whole->commit();
  halves->forward(images(views, 0, 2));
  halves->forward(images(views, 2, 4));
  halves->commit();
  const auto center = whole->named_buffers()["center"];
  EXPECT_GT(center.abs().sum().item<double>(), 0);
  EXPECT_TRUE(close(halves->named_buffers()["center"], center));

  auto scores = torch::zeros({1, kPrototypes}, torch::kDouble);
  for (const auto& view : views.images) {
    scores +=
        whole->segment(view).scores.to(torch::kDouble).flatten(2).mean(2).mean(0, /*keepdim=*/true);
  }
  EXPECT_TRUE(close(center, 0.1 * scores / 2));
}

TEST(SlotCon, DiscardedStepsLeaveTheCentre) {
  auto model = small_model();
  model->forward(random_views(3));
  model->loss->discard();
  model->commit();
  EXPECT_TRUE(at::equal(model->named_buffers()["center"], torch::zeros({1, kPrototypes})));
}

TEST(SlotCon, ModeReachesTheLossAndEveryPart) {
  auto model = small_model();
  model->eval();
  for (const auto& module : model->modules()) EXPECT_FALSE(module->is_training());
  EXPECT_FALSE(model->loss->is_training());
  const auto before = clone_of(model);
  model->forward(random_views(3));
  model->commit();
  expect_same_state(model, before);
  model->train();
  EXPECT_TRUE(model->loss->is_training());
  model->forward(random_views(3));
  model->commit();
  EXPECT_GT(model->named_buffers()["center"].abs().sum().item<double>(), 0);
}

TEST(SlotCon, OneStepAgainstTheGradientLowersTheLoss) {
  auto model = small_model();
  const auto views = random_views(4);
  const auto before = model->forward(views).loss;
  before.backward();
  descend(model, 1e-3);
  EXPECT_LT(model->forward(views).loss.item<double>(), before.item<double>());
}

TEST(SlotCon, TwoRunsAreBitwiseEqual) {
  const auto run = [] {
    auto model = small_model();
    for (std::uint64_t step = 0; step < 2; ++step) {
      model->update_teacher(0.9);
      model->zero_grad();
      model->forward(random_views(3, 10 * step)).loss.backward();
      descend(model, 0.1);
      model->commit();
    }
    return model;
  };
  expect_same_state(run(), run());
}

// ---- Looking at images ----

TEST(SlotCon, SegmentsByTheTeacherWithoutAGraph) {
  auto model = small_model();
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->encoder_q->parameters()) parameter.zero_();
  }
  model->eval();
  const auto image = random_views(2).images[0];
  const auto features = model->teacher_backbone(image);
  EXPECT_EQ(features.sizes(), (std::vector<std::int64_t>{2, 8, 4, 4}));
  EXPECT_TRUE(at::equal(features, model->encoder_k->forward(image)));
  EXPECT_FALSE(features.requires_grad());
  const auto grouping = model->segment(image);
  const auto again = model->segment_backbone(model->teacher_backbone(image));
  EXPECT_TRUE(at::equal(again.scores, grouping.scores));
  EXPECT_TRUE(at::equal(again.slots, grouping.slots));
  EXPECT_EQ(grouping.slots.sizes(), (std::vector<std::int64_t>{2, kPrototypes, 4}));
  EXPECT_EQ(grouping.scores.sizes(), (std::vector<std::int64_t>{2, kPrototypes, 4, 4}));
  const auto expected = slotcon::functional::semantic_grouping(
      model->projector_k->forward(features), model->loss->grouping_k->prototypes());
  EXPECT_TRUE(at::equal(grouping.scores, expected.scores));
  EXPECT_TRUE(at::equal(grouping.slots, expected.slots));
  EXPECT_FALSE(grouping.slots.requires_grad());
}

// ---- The module ----

TEST(SlotConModule, PrintsItsNumbers) {
  std::ostringstream out;
  small_model()->pretty_print(out);
  EXPECT_EQ(out.str(), "slotcon::SlotCon(num_prototypes=5, dim=4, hidden_dim=6)");
}

TEST(SlotConModule, CentreOfTheLossIsTheBufferOfTheModel) {
  auto model = small_model();
  const auto shared = [](slotcon::SlotConImpl<ResNet>& m) {
    return m.named_buffers()["center"].data_ptr() == m.loss->assignment->center.data_ptr();
  };
  EXPECT_TRUE(shared(*model));
  model->to(torch::kDouble);
  EXPECT_TRUE(shared(*model));
  EXPECT_EQ(model->loss->assignment->center.scalar_type(), torch::kDouble);
  const auto clone = clone_of(model);
  EXPECT_TRUE(shared(*clone));
  EXPECT_NE(clone->loss->assignment->center.data_ptr(), model->loss->assignment->center.data_ptr());
}

TEST(SlotConModule, CloneIsDeepAndWhole) {
  auto model = small_model();
  const auto views = random_views(3);
  model->forward(views);
  model->commit();
  const auto clone = clone_of(model);
  const auto again = clone_of(model);
  expect_same_state(clone, model);
  const auto expected = model->forward(views).loss;
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->parameters()) parameter.add_(1);
    for (auto& buffer : model->buffers()) buffer.zero_();
  }
  const auto loss = clone->forward(views).loss;
  EXPECT_TRUE(at::equal(loss, expected));
  loss.backward();  // what runs is what an optimiser gets, and it is the clone's own
  for (const auto& parameter : clone->named_parameters()) {
    EXPECT_EQ(parameter.value().grad().defined(), !of_teacher(parameter.key())) << parameter.key();
  }
  for (const auto& parameter : again->named_parameters()) {
    EXPECT_FALSE(parameter.value().grad().defined()) << parameter.key();
  }
  const auto center = clone->named_buffers()["center"].clone();
  clone->commit();
  EXPECT_FALSE(at::equal(clone->named_buffers()["center"], center));
}

TEST(SlotConModule, TeacherOfACloneTakesNoGradient) {
  const auto clone = clone_of(small_model());
  Names wrong;
  for (const auto& parameter : clone->named_parameters()) {
    if (parameter.value().requires_grad() == of_teacher(parameter.key()))
      wrong.push_back(parameter.key());
  }
  EXPECT_EQ(wrong, Names());
}

TEST(SlotConModule, TeacherOfACloneFollowsTheClonesStudent) {
  const auto clone = clone_of(small_model());
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : clone->named_parameters()) {
      if (!of_teacher(parameter.key())) parameter.value().fill_(2);
    }
  }
  clone->update_teacher(0);
  for (const auto& parameter : clone->named_parameters()) {
    EXPECT_TRUE(at::equal(parameter.value(), at::full_like(parameter.value(), 2)))
        << parameter.key();
  }
}

TEST(SlotConModule, CloneKeepsTheMode) {
  auto model = small_model();
  model->eval();
  const auto clone = clone_of(model);
  EXPECT_FALSE(clone->is_training());
  EXPECT_FALSE(clone->loss->is_training());
  const auto views = random_views(3);
  EXPECT_TRUE(at::equal(clone->forward(views).loss, model->forward(views).loss));
  clone->commit();
  expect_same_state(clone, model);  // neither running statistics nor the centre have moved
}

TEST(SlotConModule, SavesAndLoads) {
  auto saved = small_model(1), loaded = small_model(2);
  const auto views = random_views(3);
  saved->forward(views);
  saved->commit();
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  expect_same_state(loaded, saved);
  EXPECT_TRUE(at::equal(loaded->forward(views).loss, saved->forward(views).loss));
  loaded->commit();
  saved->commit();
  EXPECT_TRUE(at::equal(loaded->named_buffers()["center"], saved->named_buffers()["center"]));
  for (const auto& parameter : loaded->named_parameters()) {
    EXPECT_EQ(parameter.value().requires_grad(), !of_teacher(parameter.key())) << parameter.key();
  }
}

TEST(SlotConModule, TrainsInFloat64) {
  auto model = small_model();
  model->to(torch::kDouble);
  auto views = random_views(3);
  for (auto& view : views.images) view = view.to(torch::kDouble);
  model->update_teacher(0.9);
  const auto output = model->forward(views);
  EXPECT_EQ(output.loss.scalar_type(), torch::kDouble);
  output.loss.backward();
  model->commit();
  auto single = small_model();
  single->update_teacher(0.9);
  EXPECT_TRUE(close(single->forward(random_views(3)).loss, output.loss));
}

/// The network of tests/io/fixtures/published.pth, or one with other prototypes.
Model<> published_model(std::int64_t prototypes = 3) {
  const auto encoder =
      ResNetOptions(ResNetOptions::Block::kBasic, {1}).width(2).stem(ResNetOptions::Stem::kSmall);
  return Model<>(ResNet(encoder),
                 SlotConOptions().hidden_dim(5).loss(SlotConLossOptions(prototypes, 4)));
}

slotcon::NamedTensors published_weights() {
  return slotcon::io::read_weights(SLOTCON_TEST_DATA "/io/fixtures/published.pth");
}

TEST(SlotConModule, TakesTheWeightsOfAPublishedCheckpoint) {
  auto model = published_model();
  const auto weights = published_weights();
  slotcon::load_module_state(*model, weights);
  const auto state = slotcon::module_state(*model);
  ASSERT_EQ(state.size(), weights.size());
  for (const auto& [name, tensor] : weights) EXPECT_TRUE(at::equal(state.at(name), tensor)) << name;
  const auto backbone = slotcon::io::teacher_backbone(weights);
  slotcon::load_module_state(*model->encoder_q, backbone);
  EXPECT_TRUE(at::equal(model->encoder_q->conv1->weight, model->encoder_k->conv1->weight));
}

TEST(SlotConModule, ListsWhatAPublishedCheckpointHasOtherwise) {
  auto model = published_model(/*prototypes=*/7);
  auto weights = published_weights();
  weights.erase("projector_k.mlp.1.running_var");
  weights["queue"] = torch::zeros({2});
  EXPECT_EQ(error_text<c10::ValueError>([&] { slotcon::load_module_state(*model, weights); }),
            "load_module_state: the state is of another model:"
            "\n  center: expected Float [1, 7], got Float [1, 3]"
            "\n  projector_k.mlp.1.running_var: missing"
            "\n  grouping_q.slot_embed.weight: expected Float [7, 4], got Float [3, 4]"
            "\n  grouping_k.slot_embed.weight: expected Float [7, 4], got Float [3, 4]"
            "\n  queue: not in the model");
}
