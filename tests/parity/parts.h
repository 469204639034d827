// The parts of the method against the published code: losses, optimiser, schedules.
#pragma once

#include <slotcon/loss/inverse_augmentation.h>
#include <slotcon/loss/prototype_assignment.h>
#include <slotcon/loss/semantic_grouping.h>
#include <slotcon/loss/slot_info_nce.h>
#include <slotcon/model/projection_head.h>
#include <slotcon/train/lars.h>
#include <slotcon/train/schedule.h>

#include <string>
#include <vector>

#include "tests/parity/fixture.h"
#include "tests/parity/report.h"
#include "tests/parity/state.h"

namespace slotcon::parity {

inline void check_grouping(const Fixture& f, Report& report) {
  const auto features = f["x"].requires_grad_();
  const auto prototypes = f["slots"].requires_grad_();
  const auto options = SemanticGroupingOptions().temperature(f.number("temp")).eps(f.number("eps"));
  const auto grouping = functional::semantic_grouping(features, prototypes, options);
  ((grouping.slots * f["grad_pooled"]).sum() + (grouping.scores * f["grad_scores"]).sum())
      .backward();
  report.value("grouping pooled", grouping.slots, f["pooled"]);
  report.value("grouping scores", grouping.scores, f["scores"]);
  report.gradient("grouping grad_x", features.grad(), f["grad_x"]);
  report.gradient("grouping grad_slots", prototypes.grad(), f["grad_slots"]);
}

inline void check_inverse_augmentation(const Fixture& f, Report& report) {
  const auto maps = f["maps"].requires_grad_();
  const auto aligned = functional::inverse_augment(maps, f["coords"], f["flip"].to(torch::kBool));
  (aligned * f["grad_aligned"]).sum().backward();
  report.value("invaug aligned", aligned, f["aligned"]);
  report.gradient("invaug grad_maps", maps.grad(), f["grad_maps"]);
}

inline void check_distillation(const Fixture& f, Report& report) {
  const auto student = f["student"].requires_grad_();
  const auto options = AssignmentOptions()
                           .student_temperature(f.number("student_temp"))
                           .teacher_temperature(f.number("teacher_temp"));
  const auto loss =
      functional::assignment_cross_entropy(student, f["teacher"], f["center"], options);
  loss.backward();
  report.value("distill loss", loss, f["loss"]);
  report.gradient("distill grad_student", student.grad(), f["grad_student"]);

  PrototypeCenter center(
      PrototypeCenterOptions(f["center"].size(1)).momentum(f.number("center_momentum")));
  center->to(f.device());
  center->center.copy_(f["center"]);
  center->update(f["teacher"]);
  report.value("distill center_after", center->center, f["center_after"]);
}

inline void check_info_nce(const Fixture& f, Report& report) {
  const auto dim = f["predictor/mlp.0.weight"].size(1);
  ProjectionHead predictor(ProjectionHeadOptions(dim, f["predictor/mlp.0.weight"].size(0), dim));
  predictor->to(f.device());
  load_state(*predictor, f.below("predictor/"));
  SlotInfoNCE contrast(torch::nn::AnyModule(predictor),
                       SlotInfoNCEOptions().temperature(f.number("tau")));
  const auto q = f["q"].requires_grad_();
  const auto loss = contrast->forward(q, f["k"], functional::present_slots(f["score_q"]),
                                      functional::present_slots(f["score_k"]));
  loss.backward();
  report.value("infonce loss", loss, f["loss"]);
  report.gradient("infonce grad_q", q.grad(), f["grad_q"]);
  compare_gradients("infonce", *predictor, f, report);
}

inline void check_lars(const Fixture& f, Report& report) {
  std::vector<torch::Tensor> parameters;
  for (const auto* name : {"p0", "p1", "p2"}) parameters.push_back(f[name].requires_grad_());
  Lars optimizer(parameters, LarsOptions(f.number("lr"))
                                 .momentum(f.number("momentum"))
                                 .weight_decay(f.number("weight_decay"))
                                 .eta(f.number("eta")));
  for (int step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].mutable_grad() = f["g" + std::to_string(step) + "_" + std::to_string(i)];
    }
    optimizer.step();
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto name = "p" + std::to_string(i) + "_after";
    report.value("lars " + name, parameters[i], f[name]);
  }
}

inline void check_schedules(const Fixture& f, Report& report) {
  const LearningRateSchedule rates{f.number("base_lr"), f.integer("steps_per_epoch"),
                                   f.integer("epochs"), f.integer("warmup_epochs"),
                                   f.number("warmup_multiplier")};
  const auto steps = f["lr"].size(0);
  auto rate = torch::empty({steps}, torch::kDouble);
  auto momentum = torch::empty({steps}, torch::kDouble);
  for (std::int64_t t = 0; t < steps; ++t) {
    rate[t] = rates.at(t);
    momentum[t] = teacher_momentum(t, steps, f.number("teacher_momentum_base"));
  }
  report.value("schedules lr", rate, f["lr"]);
  report.value("schedules teacher_momentum", momentum, f["teacher_momentum"]);
}

}  // namespace slotcon::parity
