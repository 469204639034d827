// Reads a file into memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace slotcon::data::detail {

using Bytes = std::vector<std::uint8_t>;

/// The content of a regular file. Throws std::runtime_error, beginning with `who`, if there is
/// none.
inline Bytes read_file(const std::string& who, const std::string& path) {
  const auto fail = [&](const std::string& reason) {
    throw std::runtime_error(who + ": cannot read '" + path + "': " + reason);
  };
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail("there is no such file");
  if (!std::filesystem::is_regular_file(status)) fail("it is not a regular file");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("it cannot be opened");
  Bytes bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    fail("reading failed");
  return bytes;
}

}  // namespace slotcon::data::detail
