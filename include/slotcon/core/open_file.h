// Opens a file, or says what is there instead.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace slotcon {

/// A regular file, opened for reading. Throws std::runtime_error, beginning with `who`, if there is
/// none.
inline std::ifstream open_file(const std::string& who, const std::string& path) {
  const auto fail = [&](const std::string& reason) {
    throw std::runtime_error(who + ": cannot read '" + path + "': " + reason);
  };
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail("there is no such file");
  if (!std::filesystem::is_regular_file(status)) fail("it is not a regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("it cannot be opened");
  return file;
}

}  // namespace slotcon
