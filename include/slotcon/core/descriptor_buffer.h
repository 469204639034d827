// A stream into a file of which it is known when it has reached the disk.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <streambuf>
#include <string_view>
#include <system_error>

namespace slotcon::detail {

/// A POSIX file descriptor that is closed with the object. Throws std::system_error.
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

/// Collects what a std::ostream writes into a new file. Throws std::system_error.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(const std::filesystem::path& file)
      : file_(file, O_WRONLY | O_CREAT | O_TRUNC) {
    start();
  }

  /// Returns when all that was written is on the disk.
  void reach_disk() {
    sync();
    file_.sync();
  }

 protected:
  int_type overflow(int_type next) override {
    sync();
    return next == traits_type::eof() ? traits_type::not_eof(next)
                                      : sputc(traits_type::to_char_type(next));
  }

  int sync() override {
    file_.write({pbase(), static_cast<std::size_t>(pptr() - pbase())});
    start();
    return 0;
  }

  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    if (count < epptr() - pptr()) return std::streambuf::xsputn(bytes, count);
    sync();
    file_.write({bytes, static_cast<std::size_t>(count)});
    return count;
  }

 private:
  void start() { setp(collected_.data(), collected_.data() + collected_.size()); }

  FileDescriptor file_;
  std::array<char, 1 << 16> collected_;
};

}  // namespace slotcon::detail
