// Writes a file that appears whole or not at all.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace slotcon::io::detail {

/// A file that is written beside the one it is to replace, which stays as it is until finish().
/// Throws std::runtime_error, beginning with `who`, when the file cannot be written.
class ReplacedFile {
 public:
  ReplacedFile(std::string who, std::filesystem::path file)
      : who_(std::move(who)), file_(std::move(file)), unfinished_(file_) {
    unfinished_ += ".part";
    out_.open(unfinished_, std::ios::binary | std::ios::trunc);
    if (!out_) fail("it cannot be opened for writing");
  }
  ~ReplacedFile() {
    std::error_code ignored;
    if (!finished_) std::filesystem::remove(unfinished_, ignored);
  }
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;

  std::ostream& stream() { return out_; }

  void finish() {
    out_.close();
    if (!out_) fail("writing failed");
    std::error_code error;
    std::filesystem::rename(unfinished_, file_, error);
    if (error) fail(error.message());
    finished_ = true;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw std::runtime_error(who_ + ": cannot write '" + file_.string() + "': " + reason);
  }

  std::string who_;
  std::filesystem::path file_, unfinished_;
  std::ofstream out_;
  bool finished_ = false;
};

}  // namespace slotcon::io::detail
