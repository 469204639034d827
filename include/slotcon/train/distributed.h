// All of training as several processes. For programs that link slotcon::distributed.
//
//     const auto group = slotcon::join_processes();         // null: one process
//     model->join(group);                                   // keys, centre, batch statistics of all
//     slotcon::broadcast_state(*model, group.get());        // one start for all
//     slotcon::TrainingStep step(model, optimizer);         // averages gradients over the group
//     for (...) step.run(views, teacher_momentum);
//
// torchrun starts the processes, or `run_local_processes`.
#pragma once

#include <slotcon/core/collectives.h>
#include <slotcon/train/broadcast.h>
#include <slotcon/train/gradient_average.h>
#include <slotcon/train/local_processes.h>
#include <slotcon/train/process_environment.h>
#include <slotcon/train/process_group.h>
