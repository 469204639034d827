// The version of slotcon. The build reads it from here: no other file names it.
#pragma once

#include <string_view>

#define SLOTCON_VERSION_MAJOR 0
#define SLOTCON_VERSION_MINOR 1
#define SLOTCON_VERSION_PATCH 0

#define SLOTCON_DETAIL_QUOTE(major, minor, patch) #major "." #minor "." #patch
#define SLOTCON_DETAIL_VERSION(major, minor, patch) SLOTCON_DETAIL_QUOTE(major, minor, patch)

namespace slotcon {

/// The version as text, "major.minor.patch".
inline constexpr std::string_view kVersion =
    SLOTCON_DETAIL_VERSION(SLOTCON_VERSION_MAJOR, SLOTCON_VERSION_MINOR, SLOTCON_VERSION_PATCH);

}  // namespace slotcon

#undef SLOTCON_DETAIL_VERSION
#undef SLOTCON_DETAIL_QUOTE
