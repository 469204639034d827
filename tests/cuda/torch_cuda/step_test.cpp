// What a training step may not do on a GPU: wait for it. And that it can be recorded as a CUDA
// graph, which refuses whatever waits and all memory that is not of LibTorch's allocator.
#include <c10/cuda/CUDAFunctions.h>
#include <gtest/gtest.h>
#include <slotcon/loss/aligned_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/loss/slot_info_nce.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <functional>
#include <vector>

#include "tests/cuda/gpu.h"
#include "tests/support/boxes.h"
#include "tests/support/gradcheck.h"
#include "tests/support/recorded_call.h"
#include "tests/support/tolerance.h"

namespace F = slotcon::functional;
using slotcon::AssignmentOptions;
using slotcon::Backend;
using slotcon::SemanticGroupingOptions;
using slotcon::SlotInfoNCEOptions;
using slotcon::testing::close;
using slotcon::testing::floats;
using slotcon::testing::Tensors;

namespace {

constexpr std::int64_t kImages = 5, kPrototypes = 65, kDim = 48, kSide = 7;

/// The forward and backward pass of a loss on arguments that stay where they are.
struct Step {
  const char* name;
  std::function<Tensors(std::uint64_t seed)> arguments;  // on the CPU
  std::function<Tensors(const Tensors&)> run;            // what it gives, gradients included
};

torch::Tensor trained(const torch::Tensor& argument) {
  return argument.detach().requires_grad_();  // the same memory
}

Step grouping_step(at::ScalarType type) {
  return {"semantic_grouping",
          [type](std::uint64_t seed) -> Tensors {
            return {floats({kImages, kDim, kSide, kSide}, seed).to(type),
                    floats({kPrototypes, kDim}, seed + 1),
                    floats({kImages, kPrototypes, kDim}, seed + 2).to(type),
                    floats({kImages, kPrototypes, kSide, kSide}, seed + 3)};
          },
          [](const Tensors& t) -> Tensors {
            const auto features = trained(t[0]), prototypes = trained(t[1]);
            const auto result = F::semantic_grouping(
                features, prototypes, SemanticGroupingOptions().backend(Backend::kFused));
            const auto gradients = torch::autograd::grad({result.slots, result.scores},
                                                         {features, prototypes}, {t[2], t[3]});
            return {result.slots.detach(), result.scores.detach(), result.present, gradients[0],
                    gradients[1]};
          }};
}

std::vector<Step> steps() {
  return {
      grouping_step(at::kFloat),
      grouping_step(at::kBFloat16),
      {"aligned_assignment_cross_entropy",
       [](std::uint64_t seed) -> Tensors {
         const auto scores = [&](std::uint64_t i) {
           return floats({kImages, kPrototypes, kSide, kSide}, seed + i).tanh();
         };
         const auto boxes = [&](std::uint64_t i) {
           return slotcon::testing::random_boxes(kImages, seed + i);
         };
         const auto flips = [&](std::uint64_t i) { return floats({kImages}, seed + i) > 0; };
         return {scores(0), scores(1), 0.1 * floats({1, kPrototypes}, seed + 2), boxes(3), flips(4),
                 boxes(5),  flips(6)};
       },
       [](const Tensors& t) -> Tensors {
         const auto student = trained(t[0]);
         const auto loss =
             F::aligned_assignment_cross_entropy(student, t[1], {t[3], t[4]}, {t[5], t[6]}, t[2],
                                                 AssignmentOptions().backend(Backend::kFused));
         return {loss.detach(), torch::autograd::grad({loss}, {student})[0]};
       }},
      {"info_nce",
       [](std::uint64_t seed) -> Tensors {
         const auto first = static_cast<std::int64_t>(seed % 100);
         return {floats({150, kDim}, seed), floats({333, kDim}, seed + 1),
                 at::arange(first, first + 150)};
       },
       [](const Tensors& t) -> Tensors {
         const auto queries = trained(t[0]), keys = trained(t[1]);
         const auto loss =
             F::info_nce(queries, keys, t[2], SlotInfoNCEOptions().backend(Backend::kFused));
         const auto gradients = torch::autograd::grad({loss}, {queries, keys});
         return {loss.detach(), gradients[0], gradients[1]};
       }},
      {"slot_info_nce",
       [](std::uint64_t seed) -> Tensors {
         return {floats({kImages, kPrototypes, kDim}, seed),
                 floats({kImages, kPrototypes, kDim}, seed + 1),
                 floats({kImages, kPrototypes}, seed + 2) > 0,
                 floats({kImages, kPrototypes}, seed + 3) > -0.5};
       },
       [](const Tensors& t) -> Tensors {
         const auto anchors = trained(t[0]), keys = trained(t[1]);
         const auto loss = F::slot_info_nce(anchors, keys, t[2], t[3],
                                            SlotInfoNCEOptions().backend(Backend::kFused));
         const auto gradients = torch::autograd::grad({loss}, {anchors, keys});
         return {loss.detach(), gradients[0], gradients[1]};
       }},
  };
}

Tensors on_gpu(const Tensors& tensors) {
  Tensors moved;
  for (const auto& tensor : tensors) moved.push_back(tensor.to(at::kCUDA));
  return moved;
}

/// Whatever waits for the GPU throws, for the life of the object.
class NoWaiting {
 public:
  NoWaiting() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~NoWaiting() {
    c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
  }
  NoWaiting(const NoWaiting&) = delete;
  NoWaiting& operator=(const NoWaiting&) = delete;
};

class StepGpu : public slotcon::testing::GpuTest {};

}  // namespace

TEST_F(StepGpu, RecordedItGivesWhatItGivesOtherwise) {
  constexpr std::uint64_t kFirstSeed = 10, kSecondSeed = 20;
  for (const auto& step : steps()) {
    const auto arguments = on_gpu(step.arguments(kFirstSeed));
    slotcon::testing::RecordedCall recorded([&] { return step.run(arguments); });
    for (const auto seed : {kFirstSeed, kSecondSeed}) {
      const auto others = on_gpu(step.arguments(seed));
      for (std::size_t i = 0; i < arguments.size(); ++i) arguments[i].copy_(others[i]);
      const auto expected = step.run(others);
      const auto& results = recorded.replay();
      ASSERT_EQ(results.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(close(results[i].to(at::kFloat), expected[i].to(at::kFloat)))
            << step.name << ", result " << i << ", seed " << seed;
      }
    }
  }
}

TEST_F(StepGpu, NothingWaitsForTheGpu) {
  for (const auto& step : steps()) {
    const auto arguments = on_gpu(step.arguments(10));
    step.run(arguments);  // LibTorch's own set-up
    const NoWaiting strict;
    EXPECT_NO_THROW(step.run(arguments)) << step.name;
    EXPECT_THROW(arguments[0].sum().item(), c10::Error) << "LibTorch does not see who waits";
  }
}
