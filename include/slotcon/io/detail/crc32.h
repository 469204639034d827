// The checksum of zip entries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace slotcon::io::detail {

/// Eight tables: entry [k][b] is the checksum of byte b followed by k zeros.
constexpr std::array<std::array<std::uint32_t, 256>, 8> make_crc32_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (0xEDB88320u & (0u - (value & 1u)));
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

/// CRC-32 as zip and PNG have it, eight bytes at a time (Kounavis and Berry, 2005).
inline std::uint32_t crc32(std::string_view bytes) {
  static constexpr auto kTables = make_crc32_tables();
  std::uint32_t value = ~0u;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t chunk;
    std::memcpy(&chunk, bytes.data(), sizeof chunk);
    chunk ^= value;
    value = 0;
    for (std::size_t i = 0; i < 8; ++i) value ^= kTables[7 - i][chunk >> (8 * i) & 255];
  }
  for (const char byte : bytes)
    value = (value >> 8) ^ kTables[0][(value ^ static_cast<std::uint8_t>(byte)) & 255];
  return ~value;
}

}  // namespace slotcon::io::detail
