// The CPU kernels of slotcon, compiled once for all files that are compiled with SLOTCON_COMPILED.
#if !defined(SLOTCON_COMPILED)
#error "slotcon/cpu_backend.cpp is for SLOTCON_COMPILED; without it the headers have the kernels"
#endif

#include <slotcon/kernel/aligned_assignment/cpu_distillation.h>
#include <slotcon/kernel/batch_norm/cpu_passes.h>
#include <slotcon/kernel/cpu/contrast_columns.h>
#include <slotcon/kernel/inverse_augmentation/cpu_resampling.h>
#include <slotcon/kernel/prototype_assignment/cpu_cross_entropy.h>
#include <slotcon/kernel/semantic_grouping/cpu_passes.h>
