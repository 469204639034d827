// The parts of the suite; each registers its rows.
#pragma once

namespace bench {

void add_semantic_grouping();
void add_aligned_assignment();
void add_slot_info_nce();
void add_slotcon_loss();
void add_pretrain();

}  // namespace bench
