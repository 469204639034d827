// Images with their label maps in memory, for scoring a segmentation.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/labelled_files.h>

#include <functional>
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

/// Reads labelled images. `prepare` gets each pair when it is read, to cut it to a size or to put
/// classes in the place of labels, before the next is read.
///
/// Throws std::runtime_error, naming the file, when a map has another size than its image or a file
/// cannot be read: a score over part of a set is no score.
inline LabelledImages load_labelled_images(
    const std::vector<LabelledFile>& files,
    const std::function<void(Image&, LabelMap&)>& prepare = [](Image&, LabelMap&) {}) {
  LabelledImages set;
  for (const auto& file : files) {
    auto image = read_image(file.image);
    auto labels = read_label_map(file.labels);
    if (labels.height != image.height || labels.width != image.width) {
      throw std::runtime_error("load_labelled_images: expected '" + file.labels + "' to be " +
                               std::to_string(image.width) + "x" + std::to_string(image.height) +
                               " like its image, got " + std::to_string(labels.width) + "x" +
                               std::to_string(labels.height));
    }
    prepare(image, labels);
    set.images.push_back(std::move(image));
    set.labels.push_back(std::move(labels));
    set.names.push_back(file.name);
  }
  return set;
}

}  // namespace slotcon::data
