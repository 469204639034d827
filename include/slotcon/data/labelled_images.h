// Images with their label maps, for scoring a segmentation.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/image_folder.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

/// A set of labelled images in memory; entry i of each list belongs together.
struct LabelledImages {
  std::vector<Image> images;
  std::vector<LabelMap> labels;
  std::vector<std::string> names;
};

/// Reads a folder of images and the label maps of the same relative names, with extension .png, in
/// another.
///
/// Throws std::runtime_error or std::invalid_argument, naming the file, when an image has no label
/// map, a map has another size than its image, or a file cannot be read: a score over part of a set
/// is no score.
inline LabelledImages load_labelled_images(const std::string& image_folder,
                                           const std::string& label_folder) {
  if (!std::filesystem::is_directory(label_folder)) {
    throw std::invalid_argument("load_labelled_images: expected a folder of label maps, got '" +
                                label_folder + "'");
  }
  LabelledImages set;
  for (const auto& path : list_images(image_folder)) {
    const auto name = std::filesystem::relative(path, image_folder);
    auto label_path = std::filesystem::path(label_folder) / name;
    label_path.replace_extension(".png");
    if (!std::filesystem::exists(label_path)) {
      throw std::runtime_error("load_labelled_images: expected the label map '" +
                               label_path.string() + "' of '" + path + "', found none");
    }
    auto image = read_image(path);
    auto labels = read_label_map(label_path.string());
    if (labels.height != image.height || labels.width != image.width) {
      throw std::runtime_error("load_labelled_images: expected '" + label_path.string() +
                               "' to be " + std::to_string(image.width) + "x" +
                               std::to_string(image.height) + " like its image, got " +
                               std::to_string(labels.width) + "x" + std::to_string(labels.height));
    }
    set.images.push_back(std::move(image));
    set.labels.push_back(std::move(labels));
    set.names.push_back(name.string());
  }
  return set;
}

}  // namespace slotcon::data
