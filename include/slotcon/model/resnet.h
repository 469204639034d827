// Residual networks as encoders: the feature map of the last stage, no classifier.
#pragma once

#include <slotcon/model/batch_norm.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/functional/pooling.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cmath>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace slotcon {

/// Shape of a residual network.
struct ResNetOptions {
  enum class Block {
    kBasic,      ///< 3x3, 3x3 (ResNet-18 and -34)
    kBottleneck  ///< 1x1, 3x3 (with the stride), 1x1 to four times the width (ResNet-50 and larger)
  };
  enum class Stem {
    kLarge,  ///< 7x7 stride 2, batch norm, ReLU, 3x3 max pooling stride 2: for images of 200 pixels
             ///< and more
    kSmall   ///< 3x3 of `stem_stride`, batch norm, ReLU: for small images
  };

  ResNetOptions(Block block, std::vector<std::int64_t> blocks)
      : block_(block), blocks_(std::move(blocks)) {}

  TORCH_ARG(Block, block);
  TORCH_ARG(std::vector<std::int64_t>, blocks);  ///< residual blocks of each stage, each >= 1
  TORCH_ARG(std::int64_t, width) = 64;           ///< channels of the stem and of the first stage
  TORCH_ARG(Stem, stem) = Stem::kLarge;
  TORCH_ARG(std::int64_t, stem_stride) = 1;    ///< of the small stem
  TORCH_ARG(std::int64_t, neck_channels) = 0;  ///< > 0: ends with 1x1 to so many, batch norm, ReLU
  TORCH_ARG(bool, zero_init_residual) = true;  ///< each block starts as the identity, as published
};

namespace detail {

inline torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                              std::int64_t stride = 1) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

/// 1x1 convolution and batch norm where a block changes the size; an empty holder elsewhere.
inline torch::nn::Sequential shortcut(std::int64_t in, std::int64_t out, std::int64_t stride) {
  if (stride == 1 && in == out) return nullptr;
  return torch::nn::Sequential(conv(in, out, 1, stride), BatchNorm(out));
}

}  // namespace detail

/// Residual block of two 3x3 convolutions; parameter names as in torchvision.
class BasicBlockImpl : public torch::nn::Cloneable<BasicBlockImpl> {
 public:
  static constexpr std::int64_t kExpansion = 1;

  BasicBlockImpl(std::int64_t in_channels, std::int64_t width, std::int64_t stride)
      : in_(in_channels), width_(width), stride_(stride) {
    reset();
  }

  void reset() override {
    conv1 = register_module("conv1", detail::conv(in_, width_, 3, stride_));
    bn1 = register_module("bn1", BatchNorm(width_));
    conv2 = register_module("conv2", detail::conv(width_, width_, 3));
    bn2 = register_module("bn2", BatchNorm(width_));
    downsample = detail::shortcut(in_, width_, stride_);
    if (downsample) register_module("downsample", downsample);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const auto y = bn1->forward_relu(conv1->forward(x));
    const auto shortcut = downsample ? downsample->forward(x) : x;
    return bn2->forward_relu(conv2->forward(y), shortcut);
  }

  BatchNorm last_norm() { return bn2; }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  BatchNorm bn1{nullptr}, bn2{nullptr};
  torch::nn::Sequential downsample{nullptr};

 private:
  std::int64_t in_, width_, stride_;
};
TORCH_MODULE(BasicBlock);

/// Residual block 1x1, 3x3 with the stride, 1x1; parameter names as in torchvision.
class BottleneckImpl : public torch::nn::Cloneable<BottleneckImpl> {
 public:
  static constexpr std::int64_t kExpansion = 4;

  BottleneckImpl(std::int64_t in_channels, std::int64_t width, std::int64_t stride)
      : in_(in_channels), width_(width), stride_(stride) {
    reset();
  }

  void reset() override {
    const auto out = kExpansion * width_;
    conv1 = register_module("conv1", detail::conv(in_, width_, 1));
    bn1 = register_module("bn1", BatchNorm(width_));
    conv2 = register_module("conv2", detail::conv(width_, width_, 3, stride_));
    bn2 = register_module("bn2", BatchNorm(width_));
    conv3 = register_module("conv3", detail::conv(width_, out, 1));
    bn3 = register_module("bn3", BatchNorm(out));
    downsample = detail::shortcut(in_, out, stride_);
    if (downsample) register_module("downsample", downsample);
  }

  torch::Tensor forward(const torch::Tensor& x) {
    auto y = bn1->forward_relu(conv1->forward(x));
    y = bn2->forward_relu(conv2->forward(y));
    const auto shortcut = downsample ? downsample->forward(x) : x;
    return bn3->forward_relu(conv3->forward(y), shortcut);
  }

  BatchNorm last_norm() { return bn3; }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  BatchNorm bn1{nullptr}, bn2{nullptr}, bn3{nullptr};
  torch::nn::Sequential downsample{nullptr};

 private:
  std::int64_t in_, width_, stride_;
};
TORCH_MODULE(Bottleneck);

/// A residual network without pooling and classifier. [B,3,H,W] -> [B,out_channels(),h,w].
///
/// Parameter names are torchvision's: `conv1`, `bn1`, `layer1.0.conv1` ..., `layer4.1.bn2`; a neck
/// adds `neck.0` and `neck.1`. Every stage after the first halves the map. Convolutions start from
/// N(0, 2 / (kernel area x output channels)); the block's last batch norm starts from 0
/// (`zero_init_residual`), all others from 1.
/// Throws c10::ValueError for options that make no network.
/// Paper: He et al., CVPR 2016; with the stride in the 3x3 convolution as in torchvision.
class ResNetImpl : public torch::nn::Cloneable<ResNetImpl> {
 public:
  explicit ResNetImpl(ResNetOptions options_) : options(std::move(options_)) { reset(); }

  void reset() override {
    check_options();
    build_stem();
    build_stages();
    if (options.neck_channels() > 0) {
      neck = register_module(
          "neck", torch::nn::Sequential(detail::conv(channels_, options.neck_channels(), 1),
                                        BatchNorm(options.neck_channels())));
      channels_ = options.neck_channels();
    }
    initialise_convolutions();
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::ResNet(blocks=" << options.blocks() << ", width=" << options.width()
        << ", out_channels=" << channels_ << ")";
  }

  torch::Tensor forward(const torch::Tensor& images) {
    auto x = bn1->forward_relu(conv1->forward(images));
    if (options.stem() == ResNetOptions::Stem::kLarge)
      x = at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1});
    for (auto& stage : stages) x = stage->forward(x);
    if (!neck) return x;
    x = neck->at<torch::nn::Conv2dImpl>(0).forward(x);
    return neck->at<BatchNormImpl>(1).forward_relu(x);
  }

  std::int64_t out_channels() const { return channels_; }

  ResNetOptions options;
  torch::nn::Conv2d conv1{nullptr};
  BatchNorm bn1{nullptr};
  std::vector<torch::nn::Sequential> stages;  ///< `layer1`, `layer2`, ...
  torch::nn::Sequential neck{nullptr};

 private:
  void check_options() const {
    TORCH_CHECK_VALUE(!options.blocks().empty(), "ResNet: expected at least one stage, got none");
    for (const auto count : options.blocks()) {
      TORCH_CHECK_VALUE(count >= 1, "ResNet: expected at least one block in each stage, got ",
                        options.blocks());
    }
    TORCH_CHECK_VALUE(
        options.width() >= 1 && options.stem_stride() >= 1 && options.neck_channels() >= 0,
        "ResNet: expected width >= 1, stem_stride >= 1 and neck_channels >= 0, got ",
        options.width(), ", ", options.stem_stride(), " and ", options.neck_channels());
  }

  void build_stem() {
    channels_ = options.width();
    const bool large = options.stem() == ResNetOptions::Stem::kLarge;
    conv1 = register_module("conv1", large ? detail::conv(3, channels_, 7, 2)
                                           : detail::conv(3, channels_, 3, options.stem_stride()));
    bn1 = register_module("bn1", BatchNorm(channels_));
  }

  void build_stages() {
    stages.clear();
    auto width = options.width();
    for (std::size_t s = 0; s < options.blocks().size(); ++s, width *= 2) {
      const auto stride = s == 0 ? 1 : 2;
      const auto stage = options.block() == ResNetOptions::Block::kBasic
                             ? make_stage<BasicBlock>(width, options.blocks()[s], stride)
                             : make_stage<Bottleneck>(width, options.blocks()[s], stride);
      stages.push_back(register_module("layer" + std::to_string(s + 1), stage));
    }
  }

  template <class ResidualBlock>
  torch::nn::Sequential make_stage(std::int64_t width, std::int64_t blocks, std::int64_t stride) {
    torch::nn::Sequential stage;
    for (std::int64_t i = 0; i < blocks; ++i) {
      ResidualBlock block(channels_, width, i == 0 ? stride : 1);
      if (options.zero_init_residual()) torch::nn::init::zeros_(block->last_norm()->weight);
      stage->push_back(block);
      channels_ = width * ResidualBlock::ContainedType::kExpansion;
    }
    return stage;
  }

  void initialise_convolutions() {
    for (const auto& module : modules(/*include_self=*/false)) {
      if (auto* layer = module->as<torch::nn::Conv2d>()) {
        const auto& weight = layer->weight;
        const auto fan_out = weight.size(0) * weight.size(2) * weight.size(3);
        torch::nn::init::normal_(weight, 0, std::sqrt(2.0 / static_cast<double>(fan_out)));
      }
    }
  }

  std::int64_t channels_ = 0;
};
TORCH_MODULE(ResNet);

inline ResNetOptions resnet18() { return {ResNetOptions::Block::kBasic, {2, 2, 2, 2}}; }
inline ResNetOptions resnet34() { return {ResNetOptions::Block::kBasic, {3, 4, 6, 3}}; }
inline ResNetOptions resnet50() { return {ResNetOptions::Block::kBottleneck, {3, 4, 6, 3}}; }
inline ResNetOptions resnet101() { return {ResNetOptions::Block::kBottleneck, {3, 4, 23, 3}}; }

/// A network for images of about 100 pixels and minutes of CPU time: three blocks, a map of an
/// eighth.
inline ResNetOptions resnet_tiny() {
  return ResNetOptions(ResNetOptions::Block::kBasic, {1, 1, 1})
      .width(24)
      .stem(ResNetOptions::Stem::kSmall)
      .stem_stride(2)
      .neck_channels(512)
      .zero_init_residual(false);
}

}  // namespace slotcon
