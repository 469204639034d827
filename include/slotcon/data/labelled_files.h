// Images and the label maps that belong to them, in the layouts in which benchmarks are stored.
#pragma once

#include <slotcon/data/detail/list_file.h>
#include <slotcon/data/image_folder.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

/// An image and its label map.
struct LabelledFile {
  std::string name;    ///< the image's path below its folder
  std::string image;   ///< path
  std::string labels;  ///< path
};

namespace detail {

inline void require_folder(const char* who, const std::filesystem::path& folder) {
  if (std::filesystem::is_directory(folder)) return;
  throw std::invalid_argument(std::string(who) + ": expected a folder, got '" + folder.string() +
                              "'");
}

/// The first of the folders that exists.
inline std::filesystem::path existing_folder(
    const char* who, std::initializer_list<std::filesystem::path> candidates) {
  std::string tried;
  for (const auto& folder : candidates) {
    if (std::filesystem::is_directory(folder)) return folder;
    tried += (tried.empty() ? "'" : " or '") + folder.string() + "'";
  }
  throw std::invalid_argument(std::string(who) + ": expected a folder " + tried +
                              ", found neither");
}

/// The pair of two files that exist; the image is below its folder.
inline LabelledFile labelled_file(const char* who, const std::filesystem::path& image_folder,
                                  const std::filesystem::path& image,
                                  const std::filesystem::path& labels) {
  for (const auto& path : {image, labels}) {
    if (std::filesystem::exists(path)) continue;
    throw std::runtime_error(std::string(who) + ": expected '" + path.string() + "' beside '" +
                             (path == image ? labels : image).string() + "', found none");
  }
  return {std::filesystem::relative(image, image_folder).string(), image.string(), labels.string()};
}

/// The images <name>.jpg that a list names, and their label maps <name>.png.
inline std::vector<LabelledFile> listed_files(const char* who, const std::filesystem::path& images,
                                              const std::filesystem::path& labels,
                                              const std::string& list) {
  std::vector<LabelledFile> files;
  for (const auto& name : lines_of_list(who, list)) {
    files.push_back(labelled_file(who, images, images / (name + ".jpg"), labels / (name + ".png")));
  }
  return files;
}

}  // namespace detail

/// Images of one folder and label maps of the same names below another, with extension .png.
///
/// The images are those that `list_images` finds, in its order.
/// Throws std::invalid_argument for what is no folder, std::runtime_error for a folder without
/// images and for an image without label map: a score over part of a set is no score.
inline std::vector<LabelledFile> labelled_folders(const std::string& image_folder,
                                                  const std::string& label_folder) {
  constexpr auto kWho = "labelled_folders";
  detail::require_folder(kWho, image_folder);
  detail::require_folder(kWho, label_folder);
  std::vector<LabelledFile> files;
  for (const std::filesystem::path image : list_images(image_folder)) {
    auto labels = label_folder / std::filesystem::relative(image, image_folder);
    files.push_back(
        detail::labelled_file(kWho, image_folder, image, labels.replace_extension(".png")));
  }
  return files;
}

/// COCO with the label maps of COCO-Stuff, of one split such as "val2017".
///
///     ROOT/images/SPLIT/*.jpg         or ROOT/SPLIT/*.jpg
///     ROOT/stuffthingmaps/SPLIT/*.png or ROOT/annotations/SPLIT/*.png
///
/// With `list`, a text file of one name a line without extension, only those images: unsupervised
/// segmentation is scored on such a list ("Coco164kFull_Stuff_Coarse_7.txt", 2175 of val2017).
/// Throws as `labelled_folders`, and std::runtime_error for a listed image that is missing.
inline std::vector<LabelledFile> coco_stuff_files(const std::filesystem::path& root,
                                                  const std::string& split,
                                                  const std::string& list = "") {
  constexpr auto kWho = "coco_stuff_files";
  const auto images = detail::existing_folder(kWho, {root / "images" / split, root / split});
  const auto labels = detail::existing_folder(
      kWho, {root / "stuffthingmaps" / split, root / "annotations" / split});
  return list.empty() ? labelled_folders(images.string(), labels.string())
                      : detail::listed_files(kWho, images, labels, list);
}

/// PASCAL VOC of one year's folder, such as "VOCdevkit/VOC2012", and of one split such as "val".
///
///     ROOT/ImageSets/Segmentation/SPLIT.txt  one name a line
///     ROOT/JPEGImages/*.jpg, ROOT/SegmentationClass/*.png
///
/// Throws std::invalid_argument and std::runtime_error as `coco_stuff_files` with a list.
inline std::vector<LabelledFile> pascal_voc_files(const std::filesystem::path& root,
                                                  const std::string& split) {
  constexpr auto kWho = "pascal_voc_files";
  detail::require_folder(kWho, root / "JPEGImages");
  detail::require_folder(kWho, root / "SegmentationClass");
  const auto list = root / "ImageSets" / "Segmentation" / (split + ".txt");
  return detail::listed_files(kWho, root / "JPEGImages", root / "SegmentationClass", list.string());
}

/// Cityscapes with its fine labels, of one split such as "val".
///
///     ROOT/leftImg8bit/SPLIT/CITY/*_leftImg8bit.png
///     ROOT/gtFine/SPLIT/CITY/*_gtFine_labelIds.png
///
/// Throws as `labelled_folders`, and std::runtime_error for an image of another name.
inline std::vector<LabelledFile> cityscapes_files(const std::filesystem::path& root,
                                                  const std::string& split) {
  constexpr auto kWho = "cityscapes_files";
  const std::string image_end = "_leftImg8bit.png";
  const auto images = root / "leftImg8bit" / split;
  const auto labels = root / "gtFine" / split;
  detail::require_folder(kWho, images);
  detail::require_folder(kWho, labels);
  std::vector<LabelledFile> files;
  for (const std::filesystem::path image : list_images(images.string())) {
    auto name = std::filesystem::relative(image, images).string();
    const auto end = name.size() - std::min(name.size(), image_end.size());
    if (name.substr(end) != image_end) {
      throw std::runtime_error(std::string(kWho) + ": expected a name that ends in " + image_end +
                               ", got '" + image.string() + "'");
    }
    files.push_back(detail::labelled_file(
        kWho, images, image,
        labels / name.replace(end, std::string::npos, "_gtFine_labelIds.png")));
  }
  return files;
}

}  // namespace slotcon::data
