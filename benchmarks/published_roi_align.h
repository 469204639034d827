// RoIAlign as the published code runs it: on a CPU by scalar loops, one bin of one channel at a
// time, on a GPU by the kernels in published_roi_align.cu.
#pragma once

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "benchmarks/published_roi_align_cuda.h"

namespace bench::published {

/// One bilinear sample of a map: four pixels and their weights.
template <class T>
struct Sample {
  std::array<std::int64_t, 4> pixel{};
  std::array<T, 4> weight{};
};

template <class T>
Sample<T> sample_at(T y, T x, std::int64_t height, std::int64_t width) {
  if (y < -1 || y > static_cast<T>(height) || x < -1 || x > static_cast<T>(width)) return {};
  y = std::clamp(y, T(0), static_cast<T>(height - 1));
  x = std::clamp(x, T(0), static_cast<T>(width - 1));
  const auto top = static_cast<std::int64_t>(y), left = static_cast<std::int64_t>(x);
  const auto bottom = std::min(top + 1, height - 1), right = std::min(left + 1, width - 1);
  const T down = y - static_cast<T>(top), across = x - static_cast<T>(left);
  return {{top * width + left, top * width + right, bottom * width + left, bottom * width + right},
          {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across}};
}

/// The samples of every bin of one region, and how many there are in a bin.
template <class T>
struct Samples {
  std::vector<Sample<T>> all;
  std::int64_t of_a_bin;
};

/// `box`: x1, y1, x2, y2 in pixels; the bins are as many as the map has pixels.
template <class T>
Samples<T> samples_of(const T* box, std::int64_t height, std::int64_t width) {
  const T left = box[0] - T(0.5), top = box[1] - T(0.5);
  const T bin_width = (box[2] - T(0.5) - left) / static_cast<T>(width);
  const T bin_height = (box[3] - T(0.5) - top) / static_cast<T>(height);
  const auto rows = static_cast<std::int64_t>(std::ceil(std::max(bin_height, T(0))));
  const auto columns = static_cast<std::int64_t>(std::ceil(std::max(bin_width, T(0))));
  Samples<T> samples{{}, rows * columns};
  samples.all.reserve(static_cast<std::size_t>(height * width * samples.of_a_bin));
  for (std::int64_t bin = 0; bin < height * width; ++bin) {
    for (std::int64_t s = 0; s < samples.of_a_bin; ++s) {
      const T down = (static_cast<T>(s / columns) + T(0.5)) / static_cast<T>(rows);
      const T across = (static_cast<T>(s % columns) + T(0.5)) / static_cast<T>(columns);
      samples.all.push_back(sample_at(top + (static_cast<T>(bin / width) + down) * bin_height,
                                      left + (static_cast<T>(bin % width) + across) * bin_width,
                                      height, width));
    }
  }
  return samples;
}

/// Calls visit(samples, map of `from`, map of `to`) for every channel of every image.
template <class T, class Visit>
void for_each_map(const torch::Tensor& boxes, const torch::Tensor& from, const torch::Tensor& to,
                  const Visit& visit) {
  const auto height = from.size(2), width = from.size(3);
  const auto* all_boxes = boxes.const_data_ptr<T>();
  const auto* source = from.const_data_ptr<T>();
  auto* target = to.mutable_data_ptr<T>();
  at::parallel_for(0, from.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b) {
      const auto samples = samples_of(all_boxes + 4 * b, height, width);
      for (std::int64_t c = 0; c < from.size(1); ++c) {
        const auto offset = (b * from.size(1) + c) * height * width;
        visit(samples, source + offset, target + offset);
      }
    }
  });
}

template <class T>
void pool(const Samples<T>& samples, std::int64_t bins, const T* map, T* pooled) {
  const T count = static_cast<T>(std::max<std::int64_t>(samples.of_a_bin, 1));
  auto sample = samples.all.begin();
  for (std::int64_t bin = 0; bin < bins; ++bin) {
    T sum = 0;
    for (std::int64_t s = 0; s < samples.of_a_bin; ++s, ++sample) {
      for (std::size_t i = 0; i < 4; ++i) sum += sample->weight[i] * map[sample->pixel[i]];
    }
    pooled[bin] = sum / count;
  }
}

template <class T>
void scatter(const Samples<T>& samples, std::int64_t bins, const T* gradient, T* map_gradient) {
  const T count = static_cast<T>(std::max<std::int64_t>(samples.of_a_bin, 1));
  auto sample = samples.all.begin();
  for (std::int64_t bin = 0; bin < bins; ++bin) {
    for (std::int64_t s = 0; s < samples.of_a_bin; ++s, ++sample) {
      for (std::size_t i = 0; i < 4; ++i) {
        map_gradient[sample->pixel[i]] += gradient[bin] * sample->weight[i] / count;
      }
    }
  }
}

/// Maps [B,K,H,W] and one box [B,4] an image, in pixels; result [B,K,H,W].
///
/// On a CPU the library that the published code calls runs these loops on one thread. Here the
/// images are spread over all, and the backward pass computes the samples once an image and not
/// once a bin: both to the advantage of what slotcon is compared with.
class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& maps,
                               const torch::Tensor& boxes) {
    context->save_for_backward({boxes});
    if (maps.is_cuda()) return run_on_cuda(maps, boxes, /*backward=*/false);
    return run(maps, boxes, [](auto&&... arguments) { pool(arguments...); });
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto boxes = context->get_saved_variables()[0];
    if (boxes.is_cuda()) return {run_on_cuda(gradients[0], boxes, /*backward=*/true), {}};
    return {run(gradients[0], boxes, [](auto&&... arguments) { scatter(arguments...); }), {}};
  }

 private:
  static torch::Tensor run_on_cuda(const torch::Tensor& from, const torch::Tensor& boxes,
                                   bool backward) {
    const auto maps = from.contiguous(), regions = boxes.contiguous();
    const auto result = at::zeros(maps.sizes(), maps.options());
    const c10::impl::VirtualGuardImpl device(at::kCUDA);
    const char* error = roi_align_on_cuda(
        {maps.size(0), maps.size(1), maps.size(2), maps.size(3), regions.const_data_ptr<float>(),
         maps.const_data_ptr<float>(), result.mutable_data_ptr<float>(), backward},
        device.getStream(maps.device()).native_handle());
    TORCH_CHECK(error == nullptr, "roi_align: ", error);
    return result;
  }

  template <class Loop>
  static torch::Tensor run(const torch::Tensor& from, const torch::Tensor& boxes,
                           const Loop& loop) {
    const auto result = at::zeros(from.sizes(), from.options());
    const auto bins = from.size(2) * from.size(3);
    AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "roi_align", [&] {
      for_each_map<scalar_t>(boxes.contiguous(), from.contiguous(), result,
                             [&](const Samples<scalar_t>& samples, const scalar_t* source,
                                 scalar_t* target) { loop(samples, bins, source, target); });
    });
    return result;
  }
};

}  // namespace bench::published
