// Images from a folder, or from a list of files.
#pragma once

#include <slotcon/data/detail/list_file.h>
#include <slotcon/data/image.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/image_source.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

namespace detail {

inline std::string lower_case_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return extension;
}

inline bool has_image_extension(const std::filesystem::path& path) {
  const std::string extension = lower_case_extension(path);
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

inline std::vector<std::string> images_in_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  const auto options = fs::directory_options::skip_permission_denied;
  for (const auto& entry : fs::recursive_directory_iterator(folder, options)) {
    if (entry.is_regular_file() && has_image_extension(entry.path())) {
      paths.push_back(entry.path().string());
    }
  }
  if (paths.empty()) {
    throw std::runtime_error("list_images: expected *.jpg, *.jpeg or *.png files under '" + folder +
                             "', found none");
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

inline std::vector<std::string> images_in_list(const std::string& list) {
  const auto folder = std::filesystem::path(list).parent_path();
  std::vector<std::string> paths;
  for (const auto& line : lines_of_list("list_images", list)) {
    paths.push_back((folder / line).string());
  }
  return paths;
}

}  // namespace detail

/// The image files that `path` names.
///
/// A folder is searched with all folders in it for *.jpg, *.jpeg and *.png in any letter case, and
/// the paths are sorted. A text file (*.txt) holds one path a line, and the paths keep their order;
/// relative ones are relative to the folder of the text file; blank lines and lines that start with
/// # are skipped.
///
/// Throws std::runtime_error if there is no such path, or no image in it.
inline std::vector<std::string> list_images(const std::string& path) {
  if (std::filesystem::is_directory(path)) return detail::images_in_folder(path);
  if (!std::filesystem::exists(path)) {
    throw std::runtime_error("list_images: expected a folder of images or a list (*.txt), but '" +
                             path + "' does not exist");
  }
  if (detail::lower_case_extension(path) != ".txt") {
    throw std::runtime_error("list_images: expected a folder of images or a list (*.txt), got '" +
                             path + "'");
  }
  return detail::images_in_list(path);
}

/// The images of a folder or list, decoded when they are asked for.
///
/// A broken file does not end a training run: it is reported once, and the next readable image of
/// the list stands in for it each time, after the last comes the first.
class ImageFolder : public ImageSource {
 public:
  /// Receives one line about a broken file. It is called by one thread at a time.
  using Report = std::function<void(const std::string&)>;

  /// Throws as list_images() does.
  explicit ImageFolder(const std::string& path, Report report = print_line)
      : ImageFolder(list_images(path), std::move(report)) {}

  /// Throws std::invalid_argument if there are no paths.
  explicit ImageFolder(std::vector<std::string> paths, Report report = print_line)
      : paths_(std::move(paths)),
        report_(std::move(report)),
        broken_(std::make_unique<std::atomic<bool>[]>(paths_.size())) {
    if (paths_.empty()) throw std::invalid_argument("ImageFolder: expected paths, got none");
    for (std::size_t index = 0; index < paths_.size(); ++index) broken_[index] = false;
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(paths_.size()); }

  /// The file of each image.
  const std::vector<std::string>& paths() const { return paths_; }

  /// Throws std::out_of_range if there is no such index, and std::runtime_error if every file of
  /// the list is broken.
  Image load(std::int64_t index) const override {
    if (index < 0 || index >= size()) {
      throw std::out_of_range("ImageFolder: expected an index in 0 ... " +
                              std::to_string(size() - 1) + ", got " + std::to_string(index));
    }
    const auto first = static_cast<std::size_t>(index);
    for (std::size_t step = 0; step < paths_.size(); ++step) {
      const std::size_t candidate = (first + step) % paths_.size();
      if (broken_[candidate]) continue;
      try {
        return read_image(paths_[candidate]);
      } catch (const std::runtime_error& error) {
        mark_broken(candidate, error.what());
      }
    }
    throw std::runtime_error("ImageFolder: none of the " + std::to_string(paths_.size()) +
                             " files can be read; the first is '" + paths_.front() + "'");
  }

 private:
  static void print_line(const std::string& line) { std::cerr << line << '\n'; }

  void mark_broken(std::size_t index, const std::string& reason) const {
    if (broken_[index].exchange(true)) return;
    const std::lock_guard<std::mutex> lock(report_mutex_);
    report_(reason + "; the next readable image stands in for it");
  }

  std::vector<std::string> paths_;
  Report report_;
  mutable std::mutex report_mutex_;
  std::unique_ptr<std::atomic<bool>[]> broken_;
};

}  // namespace slotcon::data
