// Where the entries of a zip file lie.
#pragma once

#include <slotcon/io/detail/byte_cursor.h>
#include <slotcon/io/detail/byte_source.h>
#include <slotcon/io/detail/zip_format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::io::detail {

/// Where the content of an entry lies in the file.
struct ZipEntry {
  std::uint64_t begin = 0, size = 0;
};

using ZipDirectory = std::map<std::string, ZipEntry>;

/// Reads the directory of a zip file whose entries are stored, not compressed: the format of
/// torch.save, also of 4 GB and more.
///
/// Every size and place is checked, by what the file has and against the other entries, so that the
/// bytes of all entries together are not more than those of the file. Checksums are not looked at.
/// Throws std::runtime_error with the bare reason.
class ZipReader {
 public:
  explicit ZipReader(ByteSource& source) : source_(source) {}

  ZipDirectory directory() {
    find_directory();
    const auto bytes = source_.read(directory_.begin, directory_.size);
    ByteCursor cursor("its directory", bytes);
    while (cursor.left() > 0) read_entry(cursor);
    if (entries_.size() != count_) fail("its directory does not have as many entries as it says");
    check_overlaps();
    return std::move(entries_);
  }

 private:
  [[noreturn]] static void fail(const std::string& reason) { throw std::runtime_error(reason); }

  /// The place of the end record, the last thing in the file but for a comment.
  std::uint64_t find_end() {
    const auto tail_size = std::min(source_.size(), kZipEndSize + kZipMaxComment);
    const auto tail_begin = source_.size() - tail_size;
    const auto tail = source_.read(tail_begin, tail_size);
    for (auto place = tail.rfind(kZipEnd); place != std::string::npos;
         place = place == 0 ? std::string::npos : tail.rfind(kZipEnd, place - 1)) {
      if (tail.size() - place < kZipEndSize) continue;
      ByteCursor cursor("its end", std::string_view(tail).substr(place + kZipEndSize - 2));
      if (cursor.number<std::uint16_t>() == cursor.left()) return tail_begin + place;
    }
    fail("it is not a zip file, or is cut off");
  }

  void find_directory() {
    const auto end = find_end();
    const auto record = source_.read(end, kZipEndSize);
    ByteCursor cursor("its end", record);
    cursor.take(10);
    count_ = cursor.number<std::uint16_t>();
    directory_.size = cursor.number<std::uint32_t>();
    directory_.begin = cursor.number<std::uint32_t>();
    auto limit = end;
    if (const auto large = find_large_end(end)) {
      limit = *large;
      read_large_end(limit);
    }
    if (directory_.begin > limit || directory_.size > limit - directory_.begin)
      fail("its directory lies outside of it");
  }

  /// The place of the end record of 64 bits, if there is one.
  std::optional<std::uint64_t> find_large_end(std::uint64_t end) {
    if (end < kZipLocatorSize) return std::nullopt;
    const auto locator = source_.read(end - kZipLocatorSize, kZipLocatorSize);
    ByteCursor cursor("its end", locator);
    if (cursor.take(4) != kZipLocator) return std::nullopt;
    cursor.take(4);
    const auto place = cursor.number<std::uint64_t>();
    if (place > end - kZipLocatorSize) fail("its end record lies outside of it");
    return place;
  }

  void read_large_end(std::uint64_t place) {
    const auto record = source_.read(place, kZipLargeEndSize);
    ByteCursor cursor("its end", record);
    if (cursor.take(4) != kZipLargeEnd) fail("its end record is damaged");
    cursor.take(28);
    count_ = cursor.number<std::uint64_t>();
    directory_.size = cursor.number<std::uint64_t>();
    directory_.begin = cursor.number<std::uint64_t>();
  }

  void read_entry(ByteCursor& cursor) {
    if (cursor.take(4) != kZipDirectoryEntry) fail("its directory is damaged");
    cursor.take(4);
    const auto flags = cursor.number<std::uint16_t>();
    const auto method = cursor.number<std::uint16_t>();
    cursor.take(8);
    std::uint64_t packed = cursor.number<std::uint32_t>();
    std::uint64_t size = cursor.number<std::uint32_t>();
    const auto name_size = cursor.number<std::uint16_t>();
    const auto extra_size = cursor.number<std::uint16_t>();
    const auto comment_size = cursor.number<std::uint16_t>();
    cursor.take(8);
    std::uint64_t header = cursor.number<std::uint32_t>();
    const std::string name(cursor.take(name_size));
    read_large_sizes(cursor.take(extra_size), {&size, &packed, &header});
    cursor.take(comment_size);

    const auto quoted = "its entry '" + name + "' ";
    if ((flags & kZipEncrypted) != 0) fail(quoted + "is encrypted");
    if (method != 0 || packed != size) {
      fail(quoted + "is compressed, expected a file as torch.save writes it");
    }
    const ZipEntry entry{content_of(header, name), size};
    if (entry.begin > directory_.begin || size > directory_.begin - entry.begin)
      fail(quoted + "lies outside of it");
    if (!entries_.emplace(name, entry).second) fail(quoted + "is there twice");
    extents_.emplace_back(header, entry.begin + size);
  }

  /// The numbers that do not fit 32 bits stand in an extra field, in this order.
  static void read_large_sizes(std::string_view extra, std::vector<std::uint64_t*> numbers) {
    ByteCursor cursor("its directory", extra);
    while (cursor.left() >= 4) {
      const auto kind = cursor.number<std::uint16_t>();
      ByteCursor field("its directory", cursor.take(cursor.number<std::uint16_t>()));
      if (kind != kZipLargeSizes) continue;
      for (auto* number : numbers) {
        if (*number == kZipElsewhere) *number = field.number<std::uint64_t>();
      }
      return;
    }
  }

  /// Where the content begins, behind the entry's own header.
  std::uint64_t content_of(std::uint64_t header, const std::string& name) {
    const auto record = source_.read(header, kZipHeaderSize);
    ByteCursor cursor("a header", record);
    const bool is_header = cursor.take(4) == kZipHeader;
    cursor.take(22);
    const auto name_size = cursor.number<std::uint16_t>();
    const auto extra_size = cursor.number<std::uint16_t>();
    const auto after = header + kZipHeaderSize;
    if (!is_header || name_size != name.size() || source_.read(after, name_size) != name)
      fail("its entry '" + name + "' is not where the directory says");
    return after + name_size + extra_size;
  }

  void check_overlaps() {
    std::sort(extents_.begin(), extents_.end());
    for (std::size_t i = 1; i < extents_.size(); ++i) {
      if (extents_[i].first < extents_[i - 1].second) fail("its entries overlap");
    }
  }

  ByteSource& source_;
  ZipEntry directory_;
  std::uint64_t count_ = 0;
  ZipDirectory entries_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents_;  ///< of headers and contents
};

}  // namespace slotcon::io::detail
