// The projector and the predictor: multi-layer perceptrons on rows or on every position of a map.
#pragma once

#include <ATen/autocast_mode.h>
#include <slotcon/model/batch_norm.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <ostream>

namespace slotcon {

/// Sizes of a projection head.
struct ProjectionHeadOptions {
  ProjectionHeadOptions(std::int64_t in_dim, std::int64_t hidden_dim, std::int64_t out_dim)
      : in_dim_(in_dim), hidden_dim_(hidden_dim), out_dim_(out_dim) {}

  TORCH_ARG(std::int64_t, in_dim);
  TORCH_ARG(std::int64_t, hidden_dim);
  TORCH_ARG(std::int64_t, out_dim);
  TORCH_ARG(std::int64_t, layers) = 3;  ///< linear layers, >= 1; with 1 there is no hidden layer.
};

namespace detail {

/// Weights N(0, 0.02), biases 0: truncation at +-2, 100 deviations away, changes nothing.
template <class Layer>
Layer small_normal(Layer layer) {
  torch::nn::init::normal_(layer->weight, 0, 0.02);
  torch::nn::init::zeros_(layer->bias);
  return layer;
}

/// (layer, batch norm, exact GELU) for each hidden layer, then one bare layer.
template <class MakeLayer>
torch::nn::Sequential projection_mlp(const ProjectionHeadOptions& options,
                                     const MakeLayer& make_layer) {
  TORCH_CHECK_VALUE(options.in_dim() >= 1 && options.hidden_dim() >= 1 && options.out_dim() >= 1 &&
                        options.layers() >= 1,
                    "ProjectionHead: expected sizes and layers >= 1, got in_dim ", options.in_dim(),
                    ", hidden_dim ", options.hidden_dim(), ", out_dim ", options.out_dim(),
                    ", layers ", options.layers());
  torch::nn::Sequential mlp;
  auto in = options.in_dim();
  for (std::int64_t i = 1; i < options.layers(); ++i) {
    mlp->push_back(small_normal(make_layer(in, options.hidden_dim())));
    mlp->push_back(BatchNorm(options.hidden_dim()));
    mlp->push_back(torch::nn::GELU());
    in = options.hidden_dim();
  }
  mlp->push_back(small_normal(make_layer(in, options.out_dim())));
  return mlp;
}

/// layer.forward(x), for any number of rows. Slots come in every number, and for each oneDNN would
/// compile the product anew, as it does for half types: under autocast on the CPU rows of zeros
/// fill x up to a multiple of 32.
inline torch::Tensor product(torch::nn::LinearImpl& layer, const torch::Tensor& x) {
  constexpr std::int64_t kMultiple = 32;
  const auto rows = x.size(0), missing = (kMultiple - rows % kMultiple) % kMultiple;
  if (missing == 0 || !x.is_cpu() || !at::autocast::is_autocast_enabled(at::kCPU)) {
    return layer.forward(x);
  }
  return layer.forward(at::constant_pad_nd(x, {0, 0, 0, missing})).narrow(0, 0, rows);
}

inline torch::Tensor product(torch::nn::Conv2dImpl& layer, const torch::Tensor& x) {
  return layer.forward(x);
}

/// mlp->forward(x), each batch norm together with its GELU. `Layer` is what the linear layers are.
template <class Layer>
torch::Tensor forward(torch::nn::Sequential& mlp, torch::Tensor x) {
  std::size_t layer = 0;
  for (; layer + 1 < mlp->size(); layer += 3) {
    x = product(mlp->at<Layer>(layer), x);
    x = mlp->at<BatchNormImpl>(layer + 1).forward_gelu(x);
  }
  return product(mlp->at<Layer>(layer), x);
}

}  // namespace detail

/// Perceptron on rows: (Linear, BatchNorm, GELU) x (layers - 1), Linear; as the published
/// predictor.
///
/// Shapes: [n,in_dim] -> [n,out_dim]; n may be 0, or 1, see `BatchNorm`. The parameters are
/// `mlp.0`, `mlp.1`, `mlp.3`, .... Gradient: rows and parameters, as often as
/// `BatchNorm::forward_gelu`.
class ProjectionHeadImpl : public torch::nn::Cloneable<ProjectionHeadImpl> {
 public:
  explicit ProjectionHeadImpl(const ProjectionHeadOptions& options_) : options(options_) {
    reset();
  }

  void reset() override {
    mlp = register_module("mlp",
                          detail::projection_mlp(options, [](std::int64_t in, std::int64_t out) {
                            return torch::nn::Linear(in, out);
                          }));
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::ProjectionHead(" << options.in_dim() << " -> " << options.hidden_dim()
        << " -> " << options.out_dim() << ", layers=" << options.layers() << ")";
  }

  torch::Tensor forward(const torch::Tensor& rows) {
    return detail::forward<torch::nn::LinearImpl>(mlp, rows);
  }

  ProjectionHeadOptions options;
  torch::nn::Sequential mlp{nullptr};
};
TORCH_MODULE(ProjectionHead);

/// The same perceptron on every position of a map, by 1x1 convolutions and BatchNorm; the
/// published projector. Shapes: [B,in_dim,h,w] -> [B,out_dim,h,w]. Gradient: as of rows.
class ProjectionHead2dImpl : public torch::nn::Cloneable<ProjectionHead2dImpl> {
 public:
  explicit ProjectionHead2dImpl(const ProjectionHeadOptions& options_) : options(options_) {
    reset();
  }

  void reset() override {
    mlp = register_module(
        "mlp", detail::projection_mlp(options, [](std::int64_t in, std::int64_t out) {
          return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, /*kernel_size=*/1));
        }));
  }

  void pretty_print(std::ostream& out) const override {
    out << "slotcon::ProjectionHead2d(" << options.in_dim() << " -> " << options.hidden_dim()
        << " -> " << options.out_dim() << ", layers=" << options.layers() << ")";
  }

  torch::Tensor forward(const torch::Tensor& maps) {
    return detail::forward<torch::nn::Conv2dImpl>(mlp, maps);
  }

  ProjectionHeadOptions options;
  torch::nn::Sequential mlp{nullptr};
};
TORCH_MODULE(ProjectionHead2d);

}  // namespace slotcon
