// Reads a file into memory.
#pragma once

#include <slotcon/core/open_file.h>

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data::detail {

using Bytes = std::vector<std::uint8_t>;

/// The content of a regular file. Throws std::runtime_error, beginning with `who`, if there is
/// none.
inline Bytes read_file(const std::string& who, const std::string& path) {
  std::ifstream file = open_file(who, path);
  file.seekg(0, std::ios::end);
  Bytes bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error(who + ": cannot read '" + path + "': reading failed");
  return bytes;
}

}  // namespace slotcon::data::detail
