// The teacher: a copy of the student that follows it as an exponential moving average.
#pragma once

#include <slotcon/core/moving_average.h>
#include <torch/nn/module.h>

namespace slotcon {

/// Takes the gradient from all parameters.
inline void freeze(torch::nn::Module& module) {
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(false);
}

/// Copies the student's parameters to the teacher and freezes the teacher's.
///
/// The modules have the same parameters in the same order. Buffers (running statistics) are left
/// alone. Throws c10::ValueError when the numbers of parameters differ.
inline void start_teacher(torch::nn::Module& teacher, const torch::nn::Module& student) {
  update_moving_average(teacher.parameters(), student.parameters(), 0);
  freeze(teacher);
}

/// teacher <- momentum * teacher + (1 - momentum) * student, for the parameters, in their order.
///
/// Buffers are not averaged: the teacher runs in training mode and keeps running statistics of its
/// own. Throws c10::ValueError when the numbers of parameters differ.
inline void update_teacher(torch::nn::Module& teacher, const torch::nn::Module& student,
                           double momentum) {
  update_moving_average(teacher.parameters(), student.parameters(), momentum);
}

}  // namespace slotcon
