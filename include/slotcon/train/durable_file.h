// Files that appear whole or not at all, and stay after a power cut.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace slotcon {

namespace detail {

/// A POSIX file descriptor that is closed with the object.
class FileDescriptor {
 public:
  FileDescriptor(const std::filesystem::path& file, int flags)
      : number_(check(::open(file.c_str(), flags | O_CLOEXEC, 0666))) {}
  ~FileDescriptor() { ::close(number_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  void write(std::string_view bytes) const {
    while (!bytes.empty()) bytes.remove_prefix(static_cast<std::size_t>(written(bytes)));
  }

  /// Returns when what was written is on the disk.
  void sync() const { check(::fsync(number_)); }

 private:
  template <class Result>
  static Result check(Result result) {
    if (result < 0) throw std::system_error(errno, std::generic_category());
    return result;
  }

  ssize_t written(std::string_view bytes) const {
    const auto count = ::write(number_, bytes.data(), bytes.size());
    return count < 0 && errno == EINTR ? 0 : check(count);
  }

  int number_;
};

}  // namespace detail

/// Replaces a file by one with these bytes: at every moment, also of a crash, the old one or the
/// new one is there, whole. `file`.part is written beside it meanwhile.
/// Throws std::system_error when it cannot be written; the old file stays.
inline void write_durably(const std::filesystem::path& file, std::string_view bytes) {
  auto unfinished = file;
  unfinished += ".part";
  try {
    const detail::FileDescriptor out(unfinished, O_WRONLY | O_CREAT | O_TRUNC);
    out.write(bytes);
    out.sync();
    std::filesystem::rename(unfinished, file);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    throw;
  }
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  detail::FileDescriptor(folder, O_RDONLY | O_DIRECTORY).sync();  // the new name
}

}  // namespace slotcon
