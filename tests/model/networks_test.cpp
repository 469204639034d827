#include <gtest/gtest.h>
#include <slotcon/model/batch_norm.h>
#include <slotcon/model/memory_format.h>
#include <slotcon/model/projection_head.h>
#include <slotcon/model/resnet.h>
#include <torch/serialize.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/thread_collectives.h"
#include "tests/support/tolerance.h"

using slotcon::BasicBlock;
using slotcon::BatchNorm;
using slotcon::Bottleneck;
using slotcon::ProjectionHead;
using slotcon::ProjectionHead2d;
using slotcon::ProjectionHeadOptions;
using slotcon::ResNet;
using slotcon::ResNetOptions;
using slotcon::testing::close;
using slotcon::testing::gradcheck;
using slotcon::testing::noise;
using slotcon::testing::Tensors;

using Names = std::vector<std::string>;

namespace {

std::int64_t count(const torch::nn::Module& module) {
  std::int64_t numbers = 0;
  for (const auto& parameter : module.parameters()) numbers += parameter.numel();
  return numbers;
}

/// Fills parameters with noise, so that nothing is 0 or 1 by initialisation.
template <class Module>
Module shuffled(Module module) {
  const torch::NoGradGuard no_grad;
  std::uint64_t seed = 100;
  for (auto& parameter : module->parameters()) {
    parameter.copy_(noise(parameter.sizes(), seed++) /
                    std::sqrt(static_cast<double>(parameter[0].numel())));
  }
  return module;
}

template <class Module>
std::string printed(const Module& module) {
  std::ostringstream out;
  module->pretty_print(out);
  return out.str();
}

/// Batch norm of maps or rows by their own statistics, from its definition.
torch::Tensor normalised(const torch::Tensor& x, const torch::Tensor& weight,
                         const torch::Tensor& bias) {
  const auto per_channel = [&](const torch::Tensor& values) {
    return x.dim() == 4 ? values.view({1, -1, 1, 1}) : values.view({1, -1});
  };
  const auto channels = x.transpose(0, 1).flatten(1);
  const auto mean = channels.mean(1);
  const auto variance = channels.square().mean(1) - mean.square();
  return (x - per_channel(mean)) / per_channel((variance + 1e-5).sqrt()) * per_channel(weight) +
         per_channel(bias);
}

torch::Tensor normalised(const torch::Tensor& x, const BatchNorm& norm) {
  return normalised(x, norm->weight, norm->bias);
}

torch::Tensor exact_gelu(const torch::Tensor& x) {
  return 0.5 * x * (1 + at::erf(x / std::sqrt(2.0)));
}

/// The state of a 3-layer head by name.
struct HeadState {
  explicit HeadState(const torch::nn::Module& head) : parameters(head.named_parameters()) {}
  torch::Tensor operator[](const std::string& name) const { return parameters["mlp." + name]; }
  torch::OrderedDict<std::string, torch::Tensor> parameters;
};

/// The published head on rows, in training mode, from its definition.
torch::Tensor head_by_definition(const torch::Tensor& rows, const HeadState& p) {
  const auto linear = [&](const torch::Tensor& x, const std::string& layer) {
    return at::matmul(x, p[layer + ".weight"].flatten(1).t()) + p[layer + ".bias"];
  };
  const auto hidden = [&](const torch::Tensor& x, const std::string& layer,
                          const std::string& norm) {
    return exact_gelu(normalised(linear(x, layer), p[norm + ".weight"], p[norm + ".bias"]));
  };
  return linear(hidden(hidden(rows, "0", "1"), "3", "4"), "6");
}

/// The names of torchvision's residual networks, in its order, without the classifier.
Names torchvision_names(const std::vector<int>& blocks, int convolutions, bool first_stage_widens) {
  Names names{"conv1.weight", "bn1.weight", "bn1.bias"};
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int block = 0; block < blocks[stage]; ++block) {
      const auto at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
      for (int i = 1; i <= convolutions; ++i) {
        names.push_back(at + "conv" + std::to_string(i) + ".weight");
        names.push_back(at + "bn" + std::to_string(i) + ".weight");
        names.push_back(at + "bn" + std::to_string(i) + ".bias");
      }
      if (block > 0 || (stage == 0 && !first_stage_widens)) continue;
      for (const auto* part : {"0.weight", "1.weight", "1.bias"})
        names.push_back(at + "downsample." + part);
    }
  }
  return names;
}

ResNetOptions small_net(ResNetOptions::Block block = ResNetOptions::Block::kBasic) {
  return ResNetOptions(block, {2, 1}).width(4).stem(ResNetOptions::Stem::kSmall);
}

/// Whether the module's buffers are still what they were.
bool same_buffers(const torch::nn::Module& module, const std::vector<torch::Tensor>& kept) {
  const auto buffers = module.buffers();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!at::equal(buffers[i], kept[i])) return false;
  }
  return buffers.size() == kept.size();
}

std::vector<torch::Tensor> copies(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> result;
  for (const auto& tensor : tensors) result.push_back(tensor.clone());
  return result;
}

}  // namespace

// ---- Batch norm ----

TEST(BatchNorm, OfOneProcessIsLibTorchs) {
  const auto check = [](auto reference, at::IntArrayRef sizes) {
    BatchNorm norm(sizes[1]);
    for (std::uint64_t step = 1; step <= 2; ++step) {
      const auto x = (noise(sizes, step) + 3).to(torch::kFloat);
      EXPECT_TRUE(at::equal(norm->forward(x), reference->forward(x)));
    }
    EXPECT_EQ(norm->named_parameters().keys(), reference->named_parameters().keys());
    EXPECT_EQ(norm->named_buffers().keys(), reference->named_buffers().keys());
    EXPECT_TRUE(same_buffers(*norm, reference->buffers()));
    norm->eval();
    reference->eval();
    const auto x = noise(sizes, 3).to(torch::kFloat);
    EXPECT_TRUE(at::equal(norm->forward(x), reference->forward(x)));
  };
  check(torch::nn::BatchNorm1d(5), {7, 5});
  check(torch::nn::BatchNorm2d(5), {2, 5, 3, 4});
}

TEST(BatchNorm, WithAnActivationIsBothInOne) {
  const auto check = [](BatchNorm norm, at::IntArrayRef sizes, bool fused) {
    const auto x = noise(sizes, 1).to(torch::kFloat).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto residual =
        noise(sizes, 2).to(torch::kFloat).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto other = std::dynamic_pointer_cast<slotcon::BatchNormImpl>(norm->clone());
    EXPECT_TRUE(close(norm->forward_relu(x), other->forward(x).clamp_min(0)));
    EXPECT_TRUE(
        close(norm->forward_relu(x, residual), (other->forward(x) + residual).clamp_min(0)));
    EXPECT_TRUE(close(norm->forward_gelu(x), exact_gelu(other->forward(x))));
    EXPECT_EQ(norm->num_batches_tracked.item<int>(), other->num_batches_tracked.item<int>());
    EXPECT_TRUE(close(norm->running_mean, other->running_mean));
    EXPECT_TRUE(close(norm->running_var, other->running_var));
    norm->backend = slotcon::Backend::kReference;
    EXPECT_TRUE(at::equal(norm->forward_relu(x), other->forward(x).clamp_min(0)));
    EXPECT_TRUE(at::equal(norm->forward_gelu(x), at::gelu(other->forward(x))));
    norm->backend = slotcon::Backend::kFused;
    if (fused) {
      EXPECT_NO_THROW(norm->forward_relu(x));
      EXPECT_NO_THROW(norm->forward_gelu(x));
    }
  };
  check(shuffled(BatchNorm(5)), {2, 5, 3, 4}, true);
  check(shuffled(BatchNorm(5)), {1, 5, 1, 1}, false);  // by running statistics
  auto evaluated = shuffled(BatchNorm(5));
  evaluated->eval();
  check(evaluated, {2, 5, 3, 4}, false);
  slotcon::testing::run_group(1, [&](const slotcon::CollectivesPtr& group) {
    auto synchronised = shuffled(BatchNorm(5));
    synchronised->collectives = group;
    check(synchronised, {2, 5, 3, 4}, false);
  });
}

TEST(BatchNorm, WithAnActivationSaysWhyItIsNotFused) {
  BatchNorm norm(5);
  norm->backend = slotcon::Backend::kFused;
  const auto x = noise({2, 5, 3, 4}, 1).to(torch::kFloat);
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { norm->forward_relu(x); }),
            "BatchNorm::forward_relu: Backend::kFused is unavailable: the kernel needs rows "
            "[N,C] or channels-last maps [N,C,h,w]");
  EXPECT_EQ(error_text<c10::NotImplementedError>([&] { norm->forward_gelu(x); }),
            "BatchNorm::forward_gelu: Backend::kFused is unavailable: the kernel needs rows "
            "[N,C] or channels-last maps [N,C,h,w]");
}

TEST(BatchNorm, PrintsAndClonesWithItsGroup) {
  slotcon::testing::run_group(1, [](const slotcon::CollectivesPtr& group) {
    BatchNorm norm(5);
    EXPECT_EQ(printed(norm), "slotcon::BatchNorm(5)");
    norm->collectives = group;
    norm->forward(noise({7, 5}, 1).to(torch::kFloat));
    const auto clone = std::dynamic_pointer_cast<slotcon::BatchNormImpl>(norm->clone());
    EXPECT_EQ(clone->collectives, group);
    EXPECT_TRUE(same_buffers(*clone, norm->buffers()));
    EXPECT_NE(clone->weight.data_ptr(), norm->weight.data_ptr());
  });
}

TEST(BatchNorm, OfAGroupIsDifferentiableOnceAndKeepsTheLayout) {
  slotcon::testing::run_group(1, [](const slotcon::CollectivesPtr& group) {
    BatchNorm norm(3);
    norm->collectives = group;
    const auto x = noise({2, 3, 4, 5}, 1)
                       .to(torch::kFloat)
                       .contiguous(torch::MemoryFormat::ChannelsLast)
                       .requires_grad_();
    const auto y = norm->forward(x);
    EXPECT_TRUE(y.is_contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_EQ(error_text<c10::NotImplementedError>([&] {
                torch::autograd::grad({y.square().sum()}, {x}, {}, /*retain_graph=*/true,
                                      /*create_graph=*/true);
              }),
              "BatchNorm: double backward needs a single process");
    y.square().sum().backward();
    EXPECT_TRUE(x.grad().is_contiguous(torch::MemoryFormat::ChannelsLast));
  });
}

TEST(BatchNorm, SynchronisesEveryLayerOfAModuleOrRefuses) {
  slotcon::testing::run_group(1, [](const slotcon::CollectivesPtr& group) {
    ResNet net(slotcon::resnet_tiny());
    slotcon::synchronise_batch_norm(*net, group);
    int layers = 0;
    for (const auto& module : net->modules()) {
      if (const auto* norm = module->as<BatchNorm>()) {
        EXPECT_EQ(norm->collectives, group);
        ++layers;
      }
    }
    EXPECT_EQ(layers, 1 + 3 * 2 + 2 + 1);  // stem, blocks, two shortcuts, neck
    torch::nn::Sequential foreign(torch::nn::Linear(3, 4), torch::nn::BatchNorm1d(4));
    slotcon::synchronise_batch_norm(*foreign, nullptr);  // fine in one process
    EXPECT_EQ(
        error_text<c10::ValueError>([&] { slotcon::synchronise_batch_norm(*foreign, group); }),
        "synchronise_batch_norm: expected slotcon::BatchNorm, got torch::nn::BatchNorm1dImpl at "
        "'1'");
  });
}

// ---- Projection heads ----

TEST(ProjectionHead, PublishedSizes) {
  const ProjectionHead2d projector(ProjectionHeadOptions(2048, 4096, 256));
  const ProjectionHead predictor(ProjectionHeadOptions(256, 4096, 256));
  EXPECT_EQ(count(*projector), 26239232);
  EXPECT_EQ(count(*predictor), 18899200);
}

TEST(ProjectionHead, PublishedNames) {
  const Names parameters{"mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.1.bias",
                         "mlp.3.weight", "mlp.3.bias", "mlp.4.weight", "mlp.4.bias",
                         "mlp.6.weight", "mlp.6.bias"};
  const Names buffers{"mlp.1.running_mean", "mlp.1.running_var", "mlp.1.num_batches_tracked",
                      "mlp.4.running_mean", "mlp.4.running_var", "mlp.4.num_batches_tracked"};
  const ProjectionHead rows(ProjectionHeadOptions(4, 5, 3));
  const ProjectionHead2d maps(ProjectionHeadOptions(4, 5, 3));
  EXPECT_EQ(rows->named_parameters().keys(), parameters);
  EXPECT_EQ(maps->named_parameters().keys(), parameters);
  EXPECT_EQ(rows->named_buffers().keys(), buffers);
  EXPECT_EQ(maps->named_buffers().keys(), buffers);
}

TEST(ProjectionHead, IsItsDefinitionOnRows) {
  auto head = shuffled(ProjectionHead(ProjectionHeadOptions(4, 5, 3)));
  head->to(torch::kDouble);
  const auto rows = noise({7, 4}, 1);
  EXPECT_TRUE(close(head->forward(rows), head_by_definition(rows, HeadState(*head))));
}

TEST(ProjectionHead, IsItsDefinitionOnEveryPosition) {
  auto head = shuffled(ProjectionHead2d(ProjectionHeadOptions(4, 5, 3)));
  head->to(torch::kDouble);
  const auto maps = noise({2, 4, 3, 5}, 1);
  const auto rows = maps.permute({0, 2, 3, 1}).reshape({30, 4});
  const auto expected =
      head_by_definition(rows, HeadState(*head)).view({2, 3, 5, 3}).permute({0, 3, 1, 2});
  EXPECT_TRUE(close(head->forward(maps), expected));
}

TEST(ProjectionHead, IsItsLayersOneAfterTheOther) {
  auto rows = shuffled(ProjectionHead(ProjectionHeadOptions(4, 5, 3)));
  auto maps = shuffled(ProjectionHead2d(ProjectionHeadOptions(4, 5, 3)));
  const auto x = noise({9, 4}, 1).to(torch::kFloat);
  const auto image = noise({2, 4, 3, 5}, 1).to(torch::kFloat);
  EXPECT_TRUE(close(rows->forward(x), rows->mlp->forward(x)));
  EXPECT_TRUE(close(maps->forward(image), maps->mlp->forward(image)));
}

TEST(ProjectionHead, UnderAutocastRowsAreWorthTheSameInAnyNumber) {
  // Batch statistics of the rows it is filled up with would show: of 33 rows they make 64.
  const auto expect_near = [](const torch::Tensor& actual, const torch::Tensor& expected) {
    const auto error = (actual.to(torch::kFloat) - expected).norm().item<double>();
    EXPECT_LT(error, 0.02 * expected.norm().item<double>());
  };
  for (const std::int64_t count : {3, 31, 32, 33}) {
    SCOPED_TRACE(count);
    auto head = shuffled(ProjectionHead(ProjectionHeadOptions(16, 24, 8)));
    auto exact = std::dynamic_pointer_cast<slotcon::ProjectionHeadImpl>(head->clone());
    const auto rows = noise({count, 16}, 1).to(torch::kFloat).requires_grad_();
    const auto incoming = noise({count, 8}, 2).to(torch::kFloat);
    const auto expected = exact->forward(rows);
    const auto by_rows = torch::autograd::grad({expected}, {rows}, {incoming})[0];
    const slotcon::testing::Autocast autocast;
    const auto actual = head->forward(rows);
    EXPECT_EQ(actual.scalar_type(), torch::kBFloat16);
    EXPECT_EQ(actual.sizes(), expected.sizes());
    expect_near(actual, expected);
    expect_near(head->named_buffers()["mlp.4.running_var"],
                exact->named_buffers()["mlp.4.running_var"]);
    expect_near(torch::autograd::grad({actual}, {rows}, {incoming.to(torch::kBFloat16)})[0],
                by_rows);
  }
}

TEST(ProjectionHead, NumberOfLayers) {
  const auto names = [](std::int64_t layers) {
    return ProjectionHead(ProjectionHeadOptions(4, 5, 3).layers(layers))->named_parameters().keys();
  };
  EXPECT_EQ(names(1), (Names{"mlp.0.weight", "mlp.0.bias"}));
  EXPECT_EQ(names(2), (Names{"mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.1.bias",
                             "mlp.3.weight", "mlp.3.bias"}));
  ProjectionHead single(ProjectionHeadOptions(4, 5, 3).layers(1));
  const auto rows = noise({7, 4}, 1).to(torch::kFloat);
  const auto p = single->named_parameters();
  EXPECT_TRUE(
      close(single->forward(rows), at::matmul(rows, p["mlp.0.weight"].t()) + p["mlp.0.bias"]));
}

TEST(ProjectionHead, GradientMatchesCentralDifferences) {
  auto head = shuffled(ProjectionHead(ProjectionHeadOptions(3, 4, 2)));
  head->to(torch::kDouble);
  EXPECT_TRUE(gradcheck([&](const Tensors& a) { return head->forward(a[0]); }, {noise({5, 3}, 1)}));
}

TEST(ProjectionHead, StartsFromSmallNormalWeightsAndZeroBiases) {
  torch::manual_seed(0);
  const ProjectionHead rows(ProjectionHeadOptions(256, 300, 256));
  const ProjectionHead2d maps(ProjectionHeadOptions(256, 300, 256));
  for (const auto& state : {HeadState(*rows), HeadState(*maps)}) {
    for (const auto* layer : {"0", "3", "6"}) {
      const auto weight = state[layer + std::string(".weight")];
      const auto deviations = 0.02 / std::sqrt(static_cast<double>(weight.numel()));
      EXPECT_LT(std::abs(weight.mean().item<double>()), 5 * deviations);
      EXPECT_LT(std::abs(weight.std().item<double>() - 0.02), 5 * deviations);
      EXPECT_EQ(state[layer + std::string(".bias")].count_nonzero().item<std::int64_t>(), 0);
    }
    EXPECT_TRUE(at::equal(state["1.weight"], torch::ones({300})));
    EXPECT_TRUE(at::equal(state["1.bias"], torch::zeros({300})));
  }
}

TEST(ProjectionHead, OneRowOrNoneUsesTheRunningStatisticsAndLeavesThem) {
  auto head = shuffled(ProjectionHead(ProjectionHeadOptions(4, 5, 3)));
  head->forward(noise({9, 4}, 1).to(torch::kFloat));  // running statistics that are not 0 and 1
  const auto statistics = copies(head->buffers());
  for (const std::int64_t rows : {0, 1}) {
    head->zero_grad();
    const auto input = noise({rows, 4}, 2).to(torch::kFloat).requires_grad_();
    const auto result = head->forward(input);
    EXPECT_EQ(result.sizes(), (std::vector<std::int64_t>{rows, 3}));
    EXPECT_TRUE(head->is_training());
    EXPECT_TRUE(head->mlp->is_training());
    EXPECT_TRUE(same_buffers(*head, statistics)) << rows;
    result.sum().backward();
    for (const auto& parameter : head->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key() << " " << rows;
      EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
    }
    head->eval();
    EXPECT_TRUE(at::equal(head->forward(input), result)) << rows;
    EXPECT_FALSE(head->is_training());
    head->train();
  }
}

TEST(ProjectionHead, TwoRowsMoveTheRunningStatistics) {
  ProjectionHead head(ProjectionHeadOptions(4, 5, 3));
  const auto statistics = copies(head->buffers());
  head->forward(noise({2, 4}, 1).to(torch::kFloat));
  EXPECT_FALSE(same_buffers(*head, statistics));
}

TEST(ProjectionHead, ModulesCloneSaveLoadAndPrint) {
  const auto check = [](auto head, const torch::Tensor& input, const std::string& name) {
    EXPECT_EQ(printed(head), "slotcon::" + name + "(4 -> 5 -> 3, layers=3)");
    auto loaded = decltype(head)(ProjectionHeadOptions(4, 5, 3));
    std::stringstream file;
    torch::save(head, file);
    torch::load(loaded, file);
    auto clone = decltype(head)(
        std::dynamic_pointer_cast<typename decltype(head)::ContainedType>(head->clone()));
    const auto expected = head->forward(input);
    EXPECT_TRUE(at::equal(loaded->forward(input), expected));
    {
      const torch::NoGradGuard no_grad;
      for (auto& parameter : head->parameters()) parameter.zero_();
    }
    EXPECT_TRUE(at::equal(clone->forward(input), expected));
  };
  check(ProjectionHead(ProjectionHeadOptions(4, 5, 3)), noise({7, 4}, 1).to(torch::kFloat),
        "ProjectionHead");
  check(ProjectionHead2d(ProjectionHeadOptions(4, 5, 3)), noise({2, 4, 3, 3}, 1).to(torch::kFloat),
        "ProjectionHead2d");
}

TEST(ProjectionHead, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_text<c10::ValueError>([] { ProjectionHead(ProjectionHeadOptions(0, 5, 3)); }),
            "ProjectionHead: expected sizes and layers >= 1, got in_dim 0, hidden_dim 5, out_dim "
            "3, layers 3");
  EXPECT_EQ(error_text<c10::ValueError>(
                [] { ProjectionHead2d(ProjectionHeadOptions(4, 5, 3).layers(0)); }),
            "ProjectionHead: expected sizes and layers >= 1, got in_dim 4, hidden_dim 5, out_dim "
            "3, layers 0");
}

// ---- Residual networks: sizes and names ----

TEST(ResNet, FiftyIsThePublishedEncoder) {
  torch::manual_seed(0);
  ResNet net(slotcon::resnet50());
  EXPECT_EQ(count(*net), 23508032);
  EXPECT_EQ(net->out_channels(), 2048);
  EXPECT_EQ(net->named_parameters().keys(),
            torchvision_names({3, 4, 6, 3}, 3, /*first_stage_widens=*/true));
  EXPECT_EQ(net->named_parameters().size(), 159u);
  EXPECT_EQ(net->named_buffers().size(), 159u);
  EXPECT_EQ(net->named_buffers().keys().back(), "layer4.2.bn3.num_batches_tracked");

  net->eval();
  const torch::NoGradGuard no_grad;
  const auto maps = net->forward(noise({2, 3, 224, 224}, 1).to(torch::kFloat));
  EXPECT_EQ(maps.sizes(), (std::vector<std::int64_t>{2, 2048, 7, 7}));

  for (const auto& parameter : net->named_parameters()) {
    const auto& name = parameter.key();
    const auto& value = parameter.value();
    if (value.dim() == 4) {
      const auto deviation =
          std::sqrt(2.0 / static_cast<double>(value.size(0) * value.size(2) * value.size(3)));
      EXPECT_LT(std::abs(value.std().item<double>() / deviation - 1),
                5 / std::sqrt(2.0 * value.numel()))
          << name;
    } else {
      const bool one =
          name.find("weight") != std::string::npos && name.find("bn3") == std::string::npos;
      EXPECT_TRUE(at::equal(value, one ? at::ones_like(value) : at::zeros_like(value))) << name;
    }
  }
}

TEST(ResNet, EighteenHasTorchvisionsNamesAndSize) {
  const ResNet net(slotcon::resnet18());
  EXPECT_EQ(count(*net), 11176512);
  EXPECT_EQ(net->out_channels(), 512);
  EXPECT_EQ(net->named_parameters().keys(),
            torchvision_names({2, 2, 2, 2}, 2, /*first_stage_widens=*/false));
  EXPECT_EQ(net->named_parameters().size(), 60u);
}

TEST(ResNet, NamedNetworksDifferInTheirBlocks) {
  using Blocks = std::vector<std::int64_t>;
  EXPECT_EQ(slotcon::resnet34().block(), ResNetOptions::Block::kBasic);
  EXPECT_EQ(slotcon::resnet34().blocks(), (Blocks{3, 4, 6, 3}));
  EXPECT_EQ(slotcon::resnet101().block(), ResNetOptions::Block::kBottleneck);
  EXPECT_EQ(slotcon::resnet101().blocks(), (Blocks{3, 4, 23, 3}));
}

TEST(ResNet, TinyMapsSixtyFourPixelsToEight) {
  ResNet net(slotcon::resnet_tiny());
  EXPECT_EQ(count(*net), 223480);
  EXPECT_EQ(net->out_channels(), 512);
  const auto maps = net->forward(noise({2, 3, 64, 64}, 1).to(torch::kFloat));
  EXPECT_EQ(maps.sizes(), (std::vector<std::int64_t>{2, 512, 8, 8}));
  const auto names = net->named_parameters().keys();
  EXPECT_EQ(Names(names.end() - 3, names.end()),
            (Names{"neck.0.weight", "neck.1.weight", "neck.1.bias"}));
  EXPECT_EQ(printed(net), "slotcon::ResNet(blocks=1 1 1, width=24, out_channels=512)");
}

TEST(ResNet, MapsOfOddImages) {
  ResNet large(ResNetOptions(ResNetOptions::Block::kBasic, {1, 1}).width(4));
  EXPECT_EQ(large->forward(noise({1, 3, 37, 50}, 1).to(torch::kFloat)).sizes(),
            (std::vector<std::int64_t>{1, 8, 5, 7}));
  ResNet small(small_net(ResNetOptions::Block::kBottleneck).stem_stride(3));
  EXPECT_EQ(small->forward(noise({1, 3, 37, 50}, 1).to(torch::kFloat)).sizes(),
            (std::vector<std::int64_t>{1, 32, 7, 9}));
}

// ---- Residual networks: values ----

TEST(ResNet, BasicBlockIsItsDefinition) {
  auto block = shuffled(BasicBlock(4, 6, 2));
  block->to(torch::kDouble);
  const auto x = noise({2, 4, 6, 6}, 1);
  const auto y = normalised(at::conv2d(x, block->conv1->weight, {}, 2, 1), block->bn1).relu();
  const auto z = normalised(at::conv2d(y, block->conv2->weight, {}, 1, 1), block->bn2);
  const auto p = block->named_parameters();
  const auto shortcut = normalised(at::conv2d(x, p["downsample.0.weight"], {}, 2),
                                   p["downsample.1.weight"], p["downsample.1.bias"]);
  EXPECT_TRUE(close(block->forward(x), (z + shortcut).relu()));
}

TEST(ResNet, BottleneckHasItsStrideInTheMiddle) {
  auto block = shuffled(Bottleneck(4, 3, 2));
  block->to(torch::kDouble);
  const auto x = noise({2, 4, 6, 6}, 1);
  const auto y = normalised(at::conv2d(x, block->conv1->weight), block->bn1).relu();
  const auto z = normalised(at::conv2d(y, block->conv2->weight, {}, 2, 1), block->bn2).relu();
  const auto w = normalised(at::conv2d(z, block->conv3->weight), block->bn3);
  const auto p = block->named_parameters();
  const auto shortcut = normalised(at::conv2d(x, p["downsample.0.weight"], {}, 2),
                                   p["downsample.1.weight"], p["downsample.1.bias"]);
  const auto result = block->forward(x);
  EXPECT_EQ(result.size(1), 12);
  EXPECT_TRUE(close(result, (w + shortcut).relu()));
}

TEST(ResNet, StemStagesAndNeckFollowEachOther) {
  for (const bool large : {true, false}) {
    const auto stem = large ? ResNetOptions::Stem::kLarge : ResNetOptions::Stem::kSmall;
    auto net = shuffled(ResNet(small_net().stem(stem).stem_stride(2).neck_channels(5)));
    net->to(torch::kDouble);
    const auto images = noise({2, 3, 16, 16}, 1);
    auto x =
        normalised(at::conv2d(images, net->conv1->weight, {}, 2, large ? 3 : 1), net->bn1).relu();
    if (large) x = at::max_pool2d(x, 3, 2, 1);
    ASSERT_EQ(net->stages.size(), 2u);
    for (auto& stage : net->stages) x = stage->forward(x);
    const auto p = net->named_parameters();
    const auto neck =
        normalised(at::conv2d(x, p["neck.0.weight"]), p["neck.1.weight"], p["neck.1.bias"]).relu();
    EXPECT_EQ(p["conv1.weight"].size(2), large ? 7 : 3);
    EXPECT_TRUE(close(net->forward(images), neck));
  }
}

TEST(ResNet, BlocksStartAsTheIdentityIfSoAsked) {
  const auto x = noise({2, 4, 6, 6}, 1).to(torch::kFloat);
  ResNet zero(small_net());
  EXPECT_TRUE(at::equal(zero->stages[0]->forward(x), x.relu()));
  // A block that changes size starts as its shortcut.
  const auto p = zero->named_parameters();
  const auto shortcut = at::conv2d(x, p["layer2.0.downsample.0.weight"], {}, 2);
  const auto ones = torch::ones({8}), zeros = torch::zeros({8});
  EXPECT_TRUE(close(zero->stages[1]->forward(x), normalised(shortcut, ones, zeros).relu()));
  ResNet one(small_net().zero_init_residual(false));
  EXPECT_FALSE(at::equal(one->stages[0]->forward(x), x.relu()));
  EXPECT_TRUE(at::equal(one->named_parameters()["layer1.0.bn2.weight"], torch::ones({4})));
}

TEST(ResNet, GradientMatchesCentralDifferences) {
  for (const auto block : {ResNetOptions::Block::kBasic, ResNetOptions::Block::kBottleneck}) {
    auto net =
        shuffled(ResNet(ResNetOptions(block, {1, 1}).width(2).stem(ResNetOptions::Stem::kSmall)));
    net->to(torch::kDouble);
    EXPECT_TRUE(
        gradcheck([&](const Tensors& a) { return net->forward(a[0]); }, {noise({2, 3, 4, 4}, 1)}));
  }
}

TEST(ResNet, EveryParameterTakesAGradient) {
  auto net = shuffled(ResNet(small_net().neck_channels(5)));
  net->forward(noise({2, 3, 8, 8}, 1).to(torch::kFloat)).sum().backward();
  for (const auto& parameter : net->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
}

// ---- Residual networks: the module ----

TEST(ResNet, CloneIsDeep) {
  for (const auto block : {ResNetOptions::Block::kBasic, ResNetOptions::Block::kBottleneck}) {
    auto net = shuffled(ResNet(small_net(block).neck_channels(5)));
    const auto clone = std::dynamic_pointer_cast<slotcon::ResNetImpl>(net->clone());
    net->eval();
    clone->eval();
    const auto images = noise({2, 3, 8, 8}, 1).to(torch::kFloat);
    const auto expected = net->forward(images);
    {
      const torch::NoGradGuard no_grad;
      for (auto& parameter : net->parameters()) parameter.zero_();
      for (auto& buffer : net->buffers()) buffer.fill_(3);
    }
    EXPECT_TRUE(at::equal(clone->forward(images), expected));
    EXPECT_EQ(clone->named_parameters().keys(), net->named_parameters().keys());
    clone->forward(images).sum().backward();  // what runs is what an optimiser gets
    for (const auto& parameter : clone->named_parameters()) {
      EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
    }
  }
}

TEST(ResNet, SavesLoadsAndConverts) {
  auto saved = shuffled(ResNet(small_net())), loaded = ResNet(small_net());
  std::stringstream file;
  torch::save(saved, file);
  torch::load(loaded, file);
  saved->to(torch::kDouble);
  loaded->to(torch::kDouble);
  const auto images = noise({2, 3, 8, 8}, 1);
  EXPECT_TRUE(at::equal(loaded->forward(images), saved->forward(images)));
}

TEST(ResNet, SaysWhatMakesNoNetwork) {
  const auto says = [](const ResNetOptions& options) {
    return error_text<c10::ValueError>([&] { ResNet{options}; });
  };
  const auto basic = ResNetOptions::Block::kBasic;
  EXPECT_EQ(says({basic, {}}), "ResNet: expected at least one stage, got none");
  EXPECT_EQ(says({basic, {1, 0}}), "ResNet: expected at least one block in each stage, got 1 0");
  EXPECT_EQ(says(small_net().width(0)),
            "ResNet: expected width >= 1, stem_stride >= 1 and neck_channels >= 0, got 0, 1 and 0");
  EXPECT_EQ(says(small_net().stem_stride(0)),
            "ResNet: expected width >= 1, stem_stride >= 1 and neck_channels >= 0, got 4, 0 and 0");
  EXPECT_EQ(
      says(small_net().neck_channels(-1)),
      "ResNet: expected width >= 1, stem_stride >= 1 and neck_channels >= 0, got 4, 1 and -1");
}

// ---- Channels-last weights ----

TEST(ChannelsLast, ChangesTheLayoutOfConvolutionsAndNothingElse) {
  auto net = shuffled(ResNet(small_net()));
  net->to(torch::kDouble);
  net->eval();
  const auto images = noise({2, 3, 8, 8}, 1);
  const auto expected = net->forward(images);
  const auto values = copies(net->parameters());
  slotcon::to_channels_last(*net);
  const auto parameters = net->parameters();
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(at::equal(parameters[i], values[i]));
    EXPECT_TRUE(parameters[i].requires_grad());
    if (values[i].dim() == 4) {
      EXPECT_TRUE(parameters[i].is_contiguous(torch::MemoryFormat::ChannelsLast));
    }
  }
  const auto maps = net->forward(images.contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(maps.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(close(maps, expected));
}
