// The exponential moving average by which the teacher follows the student.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <c10/util/Exception.h>

#include <vector>

namespace slotcon {

/// averages[i] <- momentum * averages[i] + (1 - momentum) * values[i], in place and without
/// gradient.
///
/// Both lists have the same length and pairwise the same shapes, dtypes and devices. All tensors
/// are updated in two passes, not one call a tensor. Throws c10::ValueError on lists of unequal
/// length.
inline void update_moving_average(std::vector<at::Tensor> averages, std::vector<at::Tensor> values,
                                  double momentum) {
  TORCH_CHECK_VALUE(averages.size() == values.size(),
                    "update_moving_average: expected one value for each of ", averages.size(),
                    " averages, got ", values.size());
  if (averages.empty()) return;
  at::NoGradGuard no_grad;
  at::_foreach_mul_(averages, momentum);
  at::_foreach_add_(averages, values, 1 - momentum);
}

}  // namespace slotcon
