// Images sorted into one folder a class.
#pragma once

#include <slotcon/data/image_folder.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data {

/// Images and their classes; entry i of `paths` and `classes` belongs together.
struct ClassFolders {
  std::vector<std::string> names;     ///< of the classes: those of the folders, sorted
  std::vector<std::string> paths;     ///< of the images, class by class, sorted
  std::vector<std::int64_t> classes;  ///< index into `names`
};

/// The images ROOT/CLASS/** of every folder directly below `root`, as ImageNet and torchvision's
/// ImageFolder have them.
///
/// Throws std::invalid_argument unless there are at least two folders, std::runtime_error for one
/// without images.
inline ClassFolders list_class_folders(const std::string& root) {
  ClassFolders set;
  if (std::filesystem::is_directory(root)) {
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      if (entry.is_directory()) set.names.push_back(entry.path().filename().string());
    }
  }
  if (set.names.size() < 2) {
    throw std::invalid_argument(
        "list_class_folders: expected a folder with a folder of images for each class, got '" +
        root + "' with " + std::to_string(set.names.size()));
  }
  std::sort(set.names.begin(), set.names.end());
  for (std::size_t number = 0; number < set.names.size(); ++number) {
    const auto images = list_images((std::filesystem::path(root) / set.names[number]).string());
    set.paths.insert(set.paths.end(), images.begin(), images.end());
    set.classes.insert(set.classes.end(), images.size(), static_cast<std::int64_t>(number));
  }
  return set;
}

}  // namespace slotcon::data
