// The assignment distillation between aligned views by CUDA kernels, in one pass over both views.
//
// Boxes, flips and the center stay on the device. Where the scores lie as [B,N,K], as the fused
// semantic grouping gives them, they are read where they are.
#pragma once

#include <slotcon/kernel/aligned_assignment/reference.h>
#include <slotcon/kernel/cuda/launcher.h>
#include <slotcon/kernel/loss_with_gradient.h>
#include <torch/types.h>

namespace slotcon::kernel::aligned_assignment {

namespace detail {

/// Tensors as the kernels read them: scores [B,N,K] and their regions, dense.
struct CudaView {
  explicit CudaView(const View& view)
      : scores(view.scores.flatten(2).transpose(1, 2).contiguous()),
        boxes(view.boxes.contiguous()),
        flipped(view.flipped.contiguous()) {}

  Regions regions() const {
    return {boxes.const_data_ptr<float>(), flipped.const_data_ptr<bool>()};
  }

  torch::Tensor scores, boxes, flipped;
};

/// [B,N,K] as [B,K,H,W], without a copy.
inline torch::Tensor as_maps(const torch::Tensor& rows, const Shape& shape) {
  return rows.view({shape.images, shape.height, shape.width, shape.prototypes})
      .permute({0, 3, 1, 2});
}

}  // namespace detail

/// The loss of `reference` and its gradient by the student's scores [B,K,H,W], undefined unless
/// `with_gradient`. All float32 and on one device, at most kMostPrototypes prototypes and
/// kMostRowsAndColumns rows and columns. Equal from run to run.
inline LossAndGradient cuda_distill(const View& student, const View& teacher,
                                    const torch::Tensor& center, const Temperatures& temperatures,
                                    bool with_gradient) {
  const auto& launches = cuda::kernels().aligned_assignment;
  const cuda::Launcher launch(student.scores, "aligned_assignment");
  const auto& maps = student.scores;
  const Shape shape{maps.size(0), maps.size(1), maps.size(2), maps.size(3)};
  const Index rows = shape.images * shape.height * shape.width;
  const detail::CudaView student_view(student), teacher_view(teacher);
  const auto shift = center.contiguous();
  const auto losses = at::empty({rows}, maps.options());
  const auto slopes =
      with_gradient ? at::empty(student_view.scores.sizes(), maps.options()) : torch::Tensor();
  launch(
      launches.distill,
      {shape, student_view.scores.const_data_ptr<float>(),
       teacher_view.scores.const_data_ptr<float>(), student_view.regions(), teacher_view.regions(),
       shift.const_data_ptr<float>(), static_cast<float>(1 / temperatures.student),
       static_cast<float>(1 / temperatures.teacher),
       static_cast<float>(1 / (temperatures.student * static_cast<double>(rows))),
       losses.data_ptr<float>(), with_gradient ? slopes.data_ptr<float>() : nullptr});
  const auto loss = cuda::mean(launches.mean, launch, losses);
  if (!with_gradient) return {loss, {}};
  const auto gradient = at::empty(slopes.sizes(), maps.options());
  launch(launches.gather, {shape, student_view.regions(), slopes.const_data_ptr<float>(),
                           gradient.data_ptr<float>()});
  return {loss, detail::as_maps(gradient, shape)};
}

}  // namespace slotcon::kernel::aligned_assignment
