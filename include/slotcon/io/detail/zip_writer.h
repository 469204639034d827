// Writes a zip file of stored entries.
#pragma once

#include <slotcon/io/detail/append_number.h>
#include <slotcon/io/detail/crc32.h>
#include <slotcon/io/detail/zip_format.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace slotcon::io::detail {

/// Entries in the order of writing, each content at a multiple of 64 bytes, as torch.save lays them
/// out. Sizes and places always have 64 bits, so that large files are no case of their own.
class ZipWriter {
 public:
  explicit ZipWriter(std::ostream& out) : out_(out) {}

  void add(std::string_view name, std::string_view content) {
    const auto checksum = crc32(content);
    std::string sizes;
    append_number<std::uint64_t>(sizes, content.size());
    append_number<std::uint64_t>(sizes, content.size());
    list(name, checksum, sizes);

    auto extra = field(kZipLargeSizes, sizes);
    const auto unpadded = place_ + kZipHeaderSize + name.size() + extra.size() + kFieldHeader;
    const auto padding = (kAlignment - unpadded % kAlignment) % kAlignment;
    extra += field(kPadding, std::string(padding, '\0'));
    std::string header(kZipHeader);
    append_description(header, name, checksum, extra);
    write(header.append(name).append(extra));
    write(content);
  }

  /// Writes the directory, after which nothing may be added.
  void finish() {
    const auto begin = place_;
    write(directory_);
    const auto end = place_;
    write(large_end(begin));
    write(locator(end));
    write(this->end());
  }

 private:
  static constexpr std::uint64_t kAlignment = 64;
  static constexpr std::uint64_t kFieldHeader = 4;
  static constexpr std::uint16_t kVersion = 45;      // of the format: the first with 64 bits
  static constexpr std::uint16_t kPadding = 0x4246;  // the field that torch.save pads with

  void write(std::string_view bytes) {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    place_ += bytes.size();
  }

  static std::string field(std::uint16_t kind, const std::string& content) {
    std::string bytes;
    append_number(bytes, kind);
    append_number(bytes, static_cast<std::uint16_t>(content.size()));
    return bytes + content;
  }

  /// What an entry's own header and its line in the directory have in common.
  static void append_description(std::string& bytes, std::string_view name, std::uint32_t checksum,
                                 const std::string& extra) {
    append_number(bytes, kVersion);
    append_number(bytes, kZipUtf8Names);
    append_number<std::uint16_t>(bytes, 0);  // stored
    append_number<std::uint32_t>(bytes, 0);  // no time
    append_number(bytes, checksum);
    append_number(bytes, kZipElsewhere);
    append_number(bytes, kZipElsewhere);
    append_number(bytes, static_cast<std::uint16_t>(name.size()));
    append_number(bytes, static_cast<std::uint16_t>(extra.size()));
  }

  /// Adds an entry that begins here to the directory.
  void list(std::string_view name, std::uint32_t checksum, std::string sizes_and_place) {
    append_number(sizes_and_place, place_);
    const auto extra = field(kZipLargeSizes, sizes_and_place);
    directory_ += kZipDirectoryEntry;
    append_number(directory_, kVersion);
    append_description(directory_, name, checksum, extra);
    directory_.append(10, '\0');  // no comment, first disk, no attributes
    append_number(directory_, kZipElsewhere);
    directory_.append(name).append(extra);
    ++count_;
  }

  std::string large_end(std::uint64_t begin) const {
    std::string bytes(kZipLargeEnd);
    append_number<std::uint64_t>(bytes, kZipLargeEndSize - 12);  // what follows
    append_number(bytes, kVersion);
    append_number(bytes, kVersion);
    append_number<std::uint64_t>(bytes, 0);  // first disk
    append_number(bytes, count_);
    append_number(bytes, count_);
    append_number<std::uint64_t>(bytes, directory_.size());
    append_number(bytes, begin);
    return bytes;
  }

  static std::string locator(std::uint64_t large_end) {
    std::string bytes(kZipLocator);
    append_number<std::uint32_t>(bytes, 0);
    append_number(bytes, large_end);
    append_number<std::uint32_t>(bytes, 1);  // one disk
    return bytes;
  }

  /// All in the other end record.
  static std::string end() {
    std::string bytes(kZipEnd);
    append_number<std::uint32_t>(bytes, 0);  // first disk
    bytes.append(12, '\xFF');
    append_number<std::uint16_t>(bytes, 0);  // no comment
    return bytes;
  }

  std::ostream& out_;
  std::uint64_t place_ = 0, count_ = 0;
  std::string directory_;
};

}  // namespace slotcon::io::detail
