// Where the bytes of a file come from: the file itself, or memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace slotcon::io::detail {

/// Bytes that are read from any place. What fails throws std::runtime_error with the bare reason.
class ByteSource {
 public:
  explicit ByteSource(std::uint64_t size) : size_(size) {}
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  std::uint64_t size() const { return size_; }

  /// Copies `count` bytes from `place` on, all of them or none.
  void read(std::uint64_t place, void* to, std::uint64_t count) {
    check(place, count);
    if (count > 0) copy(place, static_cast<char*>(to), count);
  }

  /// The same as text; what lies beyond the end is not allocated either.
  std::string read(std::uint64_t place, std::uint64_t count) {
    check(place, count);
    std::string bytes(static_cast<std::size_t>(count), '\0');
    read(place, bytes.data(), count);
    return bytes;
  }

 private:
  virtual void copy(std::uint64_t place, char* to, std::uint64_t count) = 0;

  void check(std::uint64_t place, std::uint64_t count) const {
    if (place <= size_ && count <= size_ - place) return;
    throw std::runtime_error("it ends too early: " + std::to_string(count) + " bytes from byte " +
                             std::to_string(place) + " on are wanted, it has " +
                             std::to_string(size_));
  }

  std::uint64_t size_;
};

/// The bytes of an open file.
class FileSource : public ByteSource {
 public:
  explicit FileSource(std::ifstream file) : ByteSource(size_of(file)), file_(std::move(file)) {}

 private:
  static std::uint64_t size_of(std::ifstream& file) {
    file.seekg(0, std::ios::end);
    return static_cast<std::uint64_t>(file.tellg());
  }

  void copy(std::uint64_t place, char* to, std::uint64_t count) override {
    file_.seekg(static_cast<std::streamoff>(place));
    file_.read(to, static_cast<std::streamsize>(count));
    if (!file_) throw std::runtime_error("reading failed");
  }

  std::ifstream file_;
};

/// Bytes in memory, which must outlive the source.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : ByteSource(bytes.size()), bytes_(bytes) {}

 private:
  void copy(std::uint64_t place, char* to, std::uint64_t count) override {
    std::copy_n(bytes_.data() + place, count, to);
  }

  std::string_view bytes_;
};

}  // namespace slotcon::io::detail
