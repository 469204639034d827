// What the tests of the data room share: fixture files, hashes, temporary folders, error texts.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifndef SLOTCON_TEST_DATA
#error "SLOTCON_TEST_DATA names the folder `tests`"
#endif

inline std::string fixture_path(const std::string& name) {
  return std::string(SLOTCON_TEST_DATA) + "/data/fixtures/" + name;
}

/// The lines of a fixture file; fails the test if there are none.
inline std::vector<std::istringstream> fixture_lines(const std::string& name) {
  std::ifstream file(fixture_path(name));
  std::vector<std::istringstream> lines;
  for (std::string line; std::getline(file, line);) lines.emplace_back(line);
  EXPECT_FALSE(lines.empty()) << "no lines in " << fixture_path(name);
  return lines;
}

/// FNV-1a of 64 bits as 16 hexadecimal digits, as fixture_hash.py computes it.
inline std::string fnv1a(const void* data, std::size_t size) {
  std::uint64_t value = 0xCBF29CE484222325u;
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001B3u;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(value));
  return digits;
}
inline std::string fnv1a(const std::vector<std::uint8_t>& bytes) {
  return fnv1a(bytes.data(), bytes.size());
}

inline std::vector<std::uint8_t> file_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// An empty folder that disappears with its content.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "slotcon-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

  /// Writes a file in the folder, or below it, and returns its path.
  std::string write(const std::string& name, const std::vector<std::uint8_t>& bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream file(path_ / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  std::string write(const std::string& name, const std::string& text) const {
    return write(name, std::vector<std::uint8_t>(text.begin(), text.end()));
  }

 private:
  std::filesystem::path path_;
};

/// The text of the Error that `action` throws; fails the test if it throws none.
template <class Error, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an exception";
  return {};
}
