#include "benchmarks/plan.h"

namespace bench {
namespace {

constexpr Precision kAllPrecisions[] = {Precision::kFloat32, Precision::kTf32, Precision::kBFloat16,
                                        Precision::kFloat16};

// No multiple of any vector's width.
constexpr MapSize kOdd{3, 77, 3, 11, 50};

/// The published COCO recipe: 256 prototypes on 7 x 7.
constexpr MapSize coco(std::int64_t images) { return {images, 256, 7, 7, 256}; }

/// The ImageNet recipe's 2048 prototypes, on 7 x 7 as published or a finer map.
constexpr MapSize imagenet(std::int64_t images, std::int64_t side) {
  return {images, 2048, side, side, 256};
}

/// As many anchors as keys, all slots of 256 prototypes.
constexpr ContrastSize square(std::int64_t slots) { return {slots / 256, 256, slots, slots, 256}; }

constexpr ContrastSize kTypicalContrast{80, 256, 2500, 20000, 256};

}  // namespace

Plan cpu_plan() {
  constexpr MapSize kCoco = coco(32), kImageNet = imagenet(8, 14);
  constexpr MapSize kDense{2, 256, 56, 56, 256};  // dense prediction: few images, many positions
  Plan plan;
  plan.device = make_cpu_device();
  plan.distillation = plan.objective = {kCoco, kImageNet, kDense, kOdd};
  for (const auto& size : plan.distillation) {
    plan.grouping.push_back({size, Precision::kFloat32, true});
  }
  for (const auto& size : {kCoco, kImageNet}) {
    plan.grouping.push_back({size, Precision::kBFloat16, true});
  }
  plan.contrast = {{{64, 256, 4096, 16384, 256}, Precision::kFloat32},
                   {kTypicalContrast, Precision::kFloat32}};
  using slotcon::kernel::Activation;
  plan.norms = {{Activation::kAddRelu, 16, 24, 32}, {Activation::kRelu, 16, 512, 8},
                {Activation::kGelu, 16, 256, 8},    {Activation::kRelu, 8, 64, 112},
                {Activation::kAddRelu, 8, 256, 56}, {Activation::kGelu, 8, 4096, 7}};
  plan.pretraining = {{"tiny", 16, 64, 16, 64, 256},  // examples/recipes/demo.toml
                      {"resnet18", 8, 224, 256, 256, 4096},
                      {"resnet50", 8, 224, 256, 256, 4096}};
  return plan;
}

Plan cuda_plan() {
  constexpr std::int64_t kImages = 64;
  Plan plan;
  plan.device = make_cuda_device();
  for (const auto& size : {coco(kImages), imagenet(kImages, 7), imagenet(kImages, 14), kOdd}) {
    for (const auto precision : kAllPrecisions) plan.grouping.push_back({size, precision, true});
  }
  plan.grouping.push_back({imagenet(kImages, 56), Precision::kBFloat16, false});
  plan.distillation = {coco(kImages), imagenet(kImages, 14)};
  for (const auto& size : {square(2048), square(8192), square(32768), kTypicalContrast}) {
    for (const auto precision : {Precision::kFloat32, Precision::kTf32}) {
      plan.contrast.push_back({size, precision});
    }
  }
  plan.objective = {coco(kImages), imagenet(kImages, 14)};
  plan.copies = {1024};
  return plan;
}

}  // namespace bench
