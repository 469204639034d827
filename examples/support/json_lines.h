// A file of JSON lines, one for each event of a run, that a crash does not spoil.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace examples {

namespace detail {

/// How many bytes of the file are whole lines of steps before `step`; later ones follow.
inline std::uintmax_t bytes_before_step(const std::filesystem::path& file, std::int64_t step) {
  std::ifstream in(file);
  std::uintmax_t bytes = 0;
  for (std::string text; std::getline(in, text) && !in.eof();) {  // at the end: half a line
    const auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || line.value("step", step) >= step) break;
    bytes += text.size() + 1;
  }
  return bytes;
}

}  // namespace detail

/// Lines of JSON, each an object with the `step` that it belongs to, in the order of the steps.
class JsonLines {
 public:
  /// Goes on with the file at `first_step`: what an earlier process wrote of that step and later
  /// ones, or left half written, is cut off. Throws std::runtime_error, naming the file, where it
  /// cannot.
  JsonLines(const std::filesystem::path& file, std::int64_t first_step) : name_(file.string()) {
    if (std::filesystem::exists(file)) {
      std::filesystem::resize_file(file, detail::bytes_before_step(file, first_step));
    }
    file_.reset(std::fopen(name_.c_str(), "a"));
    check(file_ != nullptr);
  }

  /// The line is out of this process when the call returns.
  void write(const nlohmann::json& line) const {
    check(std::fputs((line.dump() + '\n').c_str(), file_.get()) >= 0 &&
          std::fflush(file_.get()) == 0);
  }

  /// The lines are on the disk when the call returns.
  void sync() const { check(fsync(fileno(file_.get())) == 0); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  void check(bool done) const {
    if (!done) throw std::runtime_error("cannot write to '" + name_ + "'");
  }

  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace examples
