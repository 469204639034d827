// All of training as several processes. For programs that link slotcon::distributed.
//
//     const auto group = slotcon::join_processes();       // null: one process, and all below is
//     void model->join(group);                                 // keys, centre and batch statistics
//     of all slotcon::broadcast_state(*model, group.get());      // one start for all
//     slotcon::GradientAverage average(model->parameters(), group);
//     ...
//     average.start();
//     output.loss.backward();
//     average.finish();
//     optimizer.step();
//     model->commit();
//
// torchrun starts the processes, or `run_local_processes`.
#pragma once

#include <slotcon/core/collectives.h>
#include <slotcon/train/broadcast.h>
#include <slotcon/train/gradient_average.h>
#include <slotcon/train/local_processes.h>
#include <slotcon/train/process_environment.h>
#include <slotcon/train/process_group.h>
