// Numbers of the zip format (PKWARE's APPNOTE.TXT).
#pragma once

#include <cstdint>
#include <string_view>

namespace slotcon::io::detail {

constexpr std::string_view kZipHeader = "PK\3\4";          ///< before each content
constexpr std::string_view kZipDirectoryEntry = "PK\1\2";  ///< in the directory
constexpr std::string_view kZipLargeEnd = "PK\6\6";        ///< end record with 64 bits
constexpr std::string_view kZipLocator = "PK\6\7";         ///< says where that is
constexpr std::string_view kZipEnd = "PK\5\6";             ///< end record

// Sizes of these records without names, extra fields and comments.
constexpr std::uint64_t kZipHeaderSize = 30;
constexpr std::uint64_t kZipLargeEndSize = 56;
constexpr std::uint64_t kZipLocatorSize = 20;
constexpr std::uint64_t kZipEndSize = 22;
constexpr std::uint64_t kZipMaxComment = 0xFFFF;

constexpr std::uint16_t kZipEncrypted = 1;           ///< flag
constexpr std::uint16_t kZipUtf8Names = 1 << 11;     ///< flag
constexpr std::uint16_t kZipLargeSizes = 1;          ///< extra field of 64-bit numbers
constexpr std::uint32_t kZipElsewhere = 0xFFFFFFFF;  ///< instead of a number that is in that field

}  // namespace slotcon::io::detail
