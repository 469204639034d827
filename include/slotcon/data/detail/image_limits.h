// How large an image file may be, so that a damaged or hostile file cannot exhaust the memory.
#pragma once

#include <cstdint>
#include <string>

namespace slotcon::data::detail {

/// The most pixels an image file may have: 2^27, decoded 384 MiB.
constexpr std::int64_t kMaxImagePixels = std::int64_t{1} << 27;

/// Why an image of this size is refused, or an empty string.
inline std::string refused_size(std::int64_t height, std::int64_t width) {
  if (height <= 0 || width <= 0) return "it has no pixels";
  if (height <= kMaxImagePixels / width) return {};
  return "it has " + std::to_string(height) + " x " + std::to_string(width) +
         " pixels, more than the limit of " + std::to_string(kMaxImagePixels);
}

}  // namespace slotcon::data::detail
