// Where the CPU kernels are compiled: with each file that calls them, or once for all.
//
// They are most of what a file with a loss takes to compile. Where SLOTCON_COMPILED is defined, as
// the CMake target slotcon::compiled does, such a file sees their declarations alone, and
// slotcon/cpu_backend.cpp has the kernels.
#pragma once

#if defined(SLOTCON_COMPILED)
#define SLOTCON_CPU_KERNEL
#else
#define SLOTCON_CPU_KERNEL inline
#endif
