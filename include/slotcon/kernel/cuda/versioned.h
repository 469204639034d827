// The inline namespace of the CUDA kernels, named after the version of slotcon.
#pragma once

#include <slotcon/version.h>

#define SLOTCON_DETAIL_JOIN(major, minor, patch) v##major##_##minor##_##patch
#define SLOTCON_DETAIL_JOINED(major, minor, patch) SLOTCON_DETAIL_JOIN(major, minor, patch)

/// Two libraries of one process may each carry kernels of another version of slotcon: code that is
/// compiled in the consumer's program lives in `inline namespace SLOTCON_VERSIONED`.
#define SLOTCON_VERSIONED \
  SLOTCON_DETAIL_JOINED(SLOTCON_VERSION_MAJOR, SLOTCON_VERSION_MINOR, SLOTCON_VERSION_PATCH)
