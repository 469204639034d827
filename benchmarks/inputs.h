// Random inputs, the same in every run.
#pragma once

#include <ATen/Context.h>
#include <slotcon/core/two_views.h>
#include <torch/types.h>

#include "benchmarks/plan.h"

namespace bench {

/// A stream of random tensors on one device, float32.
class Random {
 public:
  Random(std::uint64_t seed, c10::Device place)
      : generator_(at::globalContext().defaultGenerator(place).clone()), options_(place) {
    generator_.set_current_seed(seed);
  }

  torch::Tensor normal(at::IntArrayRef sizes) { return at::randn(sizes, generator_, options_); }
  torch::Tensor uniform(at::IntArrayRef sizes) { return at::rand(sizes, generator_, options_); }
  torch::Tensor integers(std::int64_t end, at::IntArrayRef sizes) {
    return at::randint(end, sizes, generator_, options_.dtype(torch::kLong));
  }
  torch::Tensor permutation(std::int64_t n) {
    return at::randperm(n, generator_, options_.dtype(torch::kLong));
  }

 private:
  at::Generator generator_;
  at::TensorOptions options_;
};

/// The prototypes that each image shows, [B,10]: about as many as a trained network finds in one.
inline torch::Tensor shown_prototypes(Random& random, const MapSize& size) {
  return random.integers(size.prototypes, {size.images, 10});
}

/// Features [B,D,h,w]: each position is one of the image's prototypes and as much noise, so that
/// scores are peaked as those of a trained network are.
inline torch::Tensor features_of(Random& random, const MapSize& size,
                                 const torch::Tensor& prototypes, const torch::Tensor& shown) {
  const auto choice = random.integers(shown.size(1), {size.images, size.positions()});
  const auto winner = shown.gather(1, choice).flatten();
  const auto rows = prototypes.index_select(0, winner) +
                    random.normal({size.images * size.positions(), size.dim});
  return rows.view({size.images, size.height, size.width, size.dim})
      .permute({0, 3, 1, 2})
      .contiguous();
}

/// Where each of B views shows the common region: most of the view, half of them mirrored.
inline slotcon::ViewGeometry geometry_of(Random& random, std::int64_t images) {
  const auto first = 0.3 * random.uniform({images, 2});
  const auto last = 1 - 0.3 * random.uniform({images, 2});
  return {at::cat({first, last}, 1), random.uniform({images}) < 0.5};
}

/// A copy that takes a gradient.
inline torch::Tensor leaf(const torch::Tensor& value) {
  return value.detach().clone().set_requires_grad(true);
}

}  // namespace bench
