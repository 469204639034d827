// Files that appear whole or not at all, and stay after a power cut.
#pragma once

#include <fcntl.h>
#include <slotcon/core/descriptor_buffer.h>

#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace slotcon {

namespace detail {

/// A file that is written beside the one that it replaces at the end. Throws std::system_error.
class ReplacementFile {
 public:
  explicit ReplacementFile(std::filesystem::path file)
      : file_(std::move(file)), unfinished_(file_.native() + ".part"), buffer_(unfinished_) {}

  ~ReplacementFile() {
    std::error_code ignored;
    if (!finished_) std::filesystem::remove(unfinished_, ignored);
  }
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;

  DescriptorBuffer& buffer() { return buffer_; }

  void finish() {
    buffer_.reach_disk();
    std::filesystem::rename(unfinished_, file_);
    finished_ = true;
    const auto folder = file_.has_parent_path() ? file_.parent_path() : std::filesystem::path(".");
    FileDescriptor(folder, O_RDONLY | O_DIRECTORY).sync();  // the new name
  }

 private:
  std::filesystem::path file_, unfinished_;
  DescriptorBuffer buffer_;
  bool finished_ = false;
};

}  // namespace detail

/// Replaces a file by one with what `write(std::ostream&)` writes: at every moment, also of a
/// crash, the old one or the new one is there, whole. `file`.part is written beside it meanwhile.
///
/// Throws std::runtime_error, beginning with `who` and naming the file and the reason, when it
/// cannot be written, and whatever `write` throws; the old file stays.
template <class Write>
void write_durably(const std::string& who, const std::filesystem::path& file, const Write& write) {
  try {
    detail::ReplacementFile replacement(file);
    std::ostream out(&replacement.buffer());
    out.exceptions(std::ios::badbit);  // what the buffer throws goes through
    write(out);
    replacement.finish();
  } catch (const std::system_error& error) {
    throw std::runtime_error(who + ": cannot write '" + file.string() +
                             "': " + error.code().message());
  }
}

}  // namespace slotcon
