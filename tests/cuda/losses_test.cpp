// The losses as a trainer calls them, on a GPU: values and gradients, streams, determinism.
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>
#include <slotcon/loss/slotcon_loss.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/cuda/gpu.h"
#include "tests/cuda/semantic_grouping_cases.h"
#include "tests/support/boxes.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tolerance.h"

namespace F = slotcon::functional;
namespace grouping = slotcon::testing::semantic_grouping;
using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::SemanticGroupingOptions;
using slotcon::SlotConLoss;
using slotcon::SlotConLossOptions;
using slotcon::SlotInfoNCEOptions;
using slotcon::ViewGeometry;
using slotcon::testing::close;
using slotcon::testing::noise;
using slotcon::testing::Tensors;
using slotcon::testing::tolerance;
using slotcon::testing::within;

namespace {

constexpr std::array<at::ScalarType, 3> kTypes{at::kFloat, at::kBFloat16, at::kHalf};

constexpr std::int64_t kImages = 6, kPrototypes = 37, kDim = 40, kHeight = 5, kWidth = 7;

/// Random numbers that `type` has, in float64.
torch::Tensor numbers(at::IntArrayRef sizes, std::uint64_t seed, at::ScalarType type) {
  return noise(sizes, seed).to(type).to(at::kDouble);
}

/// Floating tensors as `type` on a device, the others as they are.
Tensors moved(const Tensors& tensors, c10::Device device, at::ScalarType type) {
  Tensors result;
  for (const auto& tensor : tensors) {
    result.push_back(tensor.to(device, tensor.is_floating_point() ? type : tensor.scalar_type()));
  }
  return result;
}

double largest(const torch::Tensor& values) { return values.abs().max().item<double>(); }

// ---- Losses of one number ----

/// Vectors that are multiplied in a half type are rounded before, their sums weighted by numbers
/// that are rounded, and the result is.
constexpr double kRoundings = 4;

/// A loss of tensors, of which the first takes a gradient.
struct Loss {
  const char* name;
  std::function<Tensors(at::ScalarType)> arguments;  // float64, numbers that the type has
  std::function<torch::Tensor(const Tensors&, Backend)> value;
  bool multiplies_in_type;  // by the fused kernel, half types
};

/// The loss and its gradient.
Tensors evaluated(const Loss& loss, const Tensors& arguments, Backend backend) {
  auto own = arguments;
  own[0] = own[0].detach().clone(at::MemoryFormat::Preserve).requires_grad_();
  const auto value = loss.value(own, backend);
  return {value.detach(), torch::autograd::grad({value}, {own[0]})[0]};
}

std::vector<Loss> losses() {
  const auto scores = [](std::uint64_t seed, at::ScalarType type) {
    const auto values = noise({kImages, kPrototypes, kHeight, kWidth}, seed);
    return (0.5 * values).tanh().to(type).to(at::kDouble);
  };
  const auto boxes = [](std::uint64_t seed, at::ScalarType type) {
    return slotcon::testing::random_boxes(kImages, seed).to(type).to(at::kDouble);
  };
  const auto flips = [](std::uint64_t seed) { return noise({kImages}, seed) > 0; };
  return {
      {"aligned_assignment_cross_entropy",
       [=](at::ScalarType type) -> Tensors {
         return {scores(1, type),
                 scores(2, type),
                 (0.1 * noise({1, kPrototypes}, 3)).to(type).to(at::kDouble),
                 boxes(4, type),
                 flips(5),
                 boxes(6, type),
                 flips(7)};
       },
       [](const Tensors& t, Backend backend) {
         return F::aligned_assignment_cross_entropy(t[0], t[1], {t[3], t[4]}, {t[5], t[6]}, t[2],
                                                    AssignmentOptions().backend(backend));
       },
       false},
      {"info_nce",
       [](at::ScalarType type) -> Tensors {
         return {numbers({150, kDim}, 1, type), numbers({333, kDim}, 2, type), at::arange(7, 157)};
       },
       [](const Tensors& t, Backend backend) {
         return F::info_nce(t[0], t[1], t[2], SlotInfoNCEOptions().backend(backend));
       },
       true},
      {"slot_info_nce",
       [](at::ScalarType type) -> Tensors {
         return {numbers({kImages, kPrototypes, kDim}, 1, type),
                 numbers({kImages, kPrototypes, kDim}, 2, type),
                 noise({kImages, kPrototypes}, 3) > 0, noise({kImages, kPrototypes}, 4) > -0.5};
       },
       [](const Tensors& t, Backend backend) {
         return F::slot_info_nce(t[0], t[1], t[2], t[3], SlotInfoNCEOptions().backend(backend));
       },
       true},
  };
}

// ---- The objective ----

/// Two views' features of student and teacher [B,D,h,w], each position near a prototype so that
/// rounding does not decide which slots win, with boxes and flips.
struct Batch {
  std::array<torch::Tensor, 2> student, teacher;
  std::array<ViewGeometry, 2> geometry;

  Batch moved_to(c10::Device device, at::ScalarType type) const {
    Batch batch = *this;
    for (auto* views : {&batch.student, &batch.teacher}) {
      for (auto& features : *views) features = features.to(device, type);
    }
    for (auto& view : batch.geometry) {
      view = {view.boxes.to(device), view.flipped.to(device)};
    }
    return batch;
  }
};

torch::Tensor prototypes() { return numbers({kPrototypes, kDim}, 11, at::kBFloat16); }

Batch random_batch(at::ScalarType type) {
  const auto features = [&](std::uint64_t seed) {
    const auto winners = at::randint(kPrototypes, {kImages, kHeight * kWidth},
                                     at::make_generator<at::CPUGeneratorImpl>(seed), at::kLong);
    const auto rows = prototypes().index_select(0, winners.flatten()) +
                      0.5 * noise({kImages * kHeight * kWidth, kDim}, seed);
    return rows.view({kImages, kHeight, kWidth, kDim})
        .permute({0, 3, 1, 2})
        .contiguous()
        .to(type)
        .to(at::kDouble);
  };
  const auto geometry = [](std::uint64_t seed) -> ViewGeometry {
    return {slotcon::testing::random_boxes(kImages, seed), noise({kImages}, seed + 1) > 0};
  };
  return {{features(1), features(2)}, {features(3), features(4)}, {{geometry(5), geometry(7)}}};
}

/// The objective with prototypes of its own and a linear predictor.
SlotConLoss objective(c10::Device device, at::ScalarType type, Backend backend) {
  torch::manual_seed(1);
  SlotConLoss loss(SlotConLossOptions(kPrototypes, kDim).backend(backend),
                   torch::nn::AnyModule(torch::nn::Linear(kDim, kDim)));
  const torch::NoGradGuard no_grad;
  loss->grouping_q->prototypes().copy_(prototypes());
  loss->grouping_k->prototypes().copy_(prototypes() + 0.1 * noise({kPrototypes, kDim}, 12));
  loss->to(device, type);
  return loss;
}

/// Both parts, the gradients of the student's features, the prototypes and the predictor, and the
/// centre afterwards.
Tensors step(SlotConLoss& loss, const Batch& batch) {
  Tensors trained{batch.student[0].detach().requires_grad_(),
                  batch.student[1].detach().requires_grad_()};
  const auto output = loss->forward({trained[0], trained[1]}, batch.teacher, batch.geometry);
  for (const auto& parameter : loss->parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  Tensors results{output.grouping.detach(), output.contrast.detach()};
  for (const auto& gradient : torch::autograd::grad({output.loss}, trained)) {
    results.push_back(gradient);
  }
  loss->commit();
  results.push_back(loss->assignment->center);
  return results;
}

Tensors step_on_gpu(const Batch& batch, at::ScalarType type) {
  auto loss = objective(at::kCUDA, at::kFloat, Backend::kFused);
  return step(loss, batch.moved_to(at::kCUDA, type));
}

class LossesGpu : public slotcon::testing::GpuTest {};

}  // namespace

TEST_F(LossesGpu, GroupingIsAsExactAsTheReference) {
  for (const auto& way : grouping::kProductWays) {  // in their types, by whichever plan
    const grouping::Case c({kImages, kPrototypes, kDim, kHeight * kWidth}, way);
    const auto type = c.type;
    const auto features =
        c.features.view({kImages, kDim, kHeight, kWidth}).to(at::kCUDA, type).requires_grad_();
    const auto table = c.prototypes.to(at::kCUDA).requires_grad_();
    const auto result = F::semantic_grouping(
        features, table,
        SemanticGroupingOptions().temperature(c.temperature).eps(c.eps).backend(Backend::kFused));
    EXPECT_EQ(result.slots.scalar_type(), type);
    const auto gradients =
        torch::autograd::grad({result.slots, result.scores.flatten(2)}, {features, table},
                              {c.grad_slots.to(at::kCUDA, type), c.grad_scores.to(at::kCUDA)});
    EXPECT_TRUE(grouping::Judge(c).as_exact_as_the_reference(
        {result.slots, result.scores.flatten(2), gradients[0].flatten(2), gradients[1],
         result.present}))
        << type;
  }
}

TEST_F(LossesGpu, LossesAndGradientsAreThoseOfFloat64) {
  for (const auto& loss : losses()) {
    for (const auto type : kTypes) {
      const auto arguments = loss.arguments(type);
      const auto exact = evaluated(loss, arguments, Backend::kReference);
      for (const auto backend : {Backend::kFused, Backend::kReference}) {
        const auto results = evaluated(loss, moved(arguments, at::kCUDA, type), backend);
        EXPECT_EQ(results[0].scalar_type(), at::kFloat) << loss.name;
        EXPECT_EQ(results[1].scalar_type(), type) << loss.name;
        const bool rounds = loss.multiplies_in_type && backend == Backend::kFused;
        for (std::size_t i = 0; i < results.size(); ++i) {
          const auto near = rounds ? within(results[i].cpu(), exact[i],
                                            kRoundings * tolerance(type) * largest(exact[i]))
                                   : close(results[i].cpu(), exact[i]);
          EXPECT_TRUE(near) << loss.name << ", result " << i << " " << type << " " << backend;
        }
      }
    }
  }
}

TEST_F(LossesGpu, TheObjectiveIsThatOfFloat64) {
  constexpr double kTemperature = 0.07;  // what the rounding of a cosine is divided by
  for (const auto type : kTypes) {
    const auto batch = random_batch(type);
    auto reference = objective(at::kCPU, at::kDouble, Backend::kReference);
    const auto exact = step(reference, batch);
    const auto results = step_on_gpu(batch, type);
    ASSERT_EQ(results.size(), exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const auto bound = tolerance(type) / kTemperature * largest(exact[i]);
      EXPECT_TRUE(within(results[i].cpu(), exact[i], bound)) << "result " << i << " " << type;
    }
  }
}

TEST_F(LossesGpu, RunsGiveTheSameBits) {
  for (const auto type : kTypes) {
    const auto batch = random_batch(type);
    const auto first = step_on_gpu(batch, type);
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto results = step_on_gpu(batch, type);
      for (std::size_t i = 0; i < first.size(); ++i) {
        EXPECT_TRUE(at::equal(results[i], first[i])) << "result " << i << " " << type;
      }
    }
  }
}

// The stream is busy when the arguments are computed there: a kernel on any other stream would read
// them before they are.
TEST_F(LossesGpu, KernelsRunOnTheCurrentStream) {
  const c10::impl::VirtualGuardImpl gpu(at::kCUDA);
  for (const auto& loss : losses()) {
    const auto arguments = loss.arguments(at::kFloat);
    const auto exact = evaluated(loss, arguments, Backend::kReference);
    const auto there = moved(arguments, at::kCUDA, at::kFloat);
    const auto busy = at::ones({4096, 4096}, there[0].options());
    gpu.synchronizeDevice(there[0].get_device());
    const c10::StreamGuard aside(gpu.getStreamFromGlobalPool(there[0].device()));
    auto late = there;
    late[0] = at::zeros_like(there[0]);
    for (int i = 0; i < 10; ++i) at::mm(busy, busy);
    late[0].copy_(there[0]);
    const auto results = evaluated(loss, late, Backend::kFused);
    EXPECT_TRUE(close(results[0].cpu(), exact[0])) << loss.name;
    EXPECT_TRUE(close(results[1].cpu(), exact[1])) << loss.name;
  }
}
