// The parts of the suite; each registers its rows.
#pragma once

#include "benchmarks/plan.h"

namespace bench {

void add_semantic_grouping(const Plan& plan);
void add_aligned_assignment(const Plan& plan);
void add_slot_info_nce(const Plan& plan);
void add_slotcon_loss(const Plan& plan);
void add_batch_norm(const Plan& plan);
void add_pretrain(const Plan& plan);
void add_copy(const Plan& plan);

}  // namespace bench
