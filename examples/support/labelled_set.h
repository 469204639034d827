// The labelled images that `segment` scores on, by the flags that name them.
#pragma once

#include <slotcon/data/centre_square.h>
#include <slotcon/data/cityscapes.h>
#include <slotcon/data/coco_stuff.h>
#include <slotcon/data/labelled_images.h>
#include <slotcon/data/pascal_voc.h>
#include <slotcon/eval/segmentation_score.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Where the images are and how they are scored.
struct LabelledSetOptions {
  std::string dataset = "folders";
  std::string images, labels;  ///< of folders
  std::int64_t classes = 0;    ///< of folders
  std::int64_t ignore_label = 255;
  std::string root, split, list;  ///< of a benchmark's layout
  std::optional<int> resolution;  ///< 0: whole images
  std::string matching;           ///< "iou", "positions", or "" for the dataset's own
};

/// A benchmark, or two plain folders, and the protocol that it is scored by.
struct LabelledSet {
  std::string name;
  std::vector<std::string> class_names;  ///< none of folders
  std::int64_t classes = 0, ignore_label = slotcon::data::kUnscored;
  int resolution = 0;
  slotcon::eval::Matching matching = slotcon::eval::Matching::kIou;
  slotcon::data::LabelledImages images;
};

inline void add_labelled_set_flags(CLI::App& app, LabelledSetOptions& o) {
  app.add_option("--dataset", o.dataset,
                 "folders (--images, --labels, --classes), or a layout below --root: "
                 "coco-stuff-27, cityscapes-19, cityscapes-27, pascal-voc")
      ->check(CLI::IsMember(
          {"folders", "coco-stuff-27", "cityscapes-19", "cityscapes-27", "pascal-voc"}));
  app.add_option("--images", o.images, "folder of images");
  app.add_option("--labels", o.labels, "folder of label maps, PNG, same names");
  app.add_option("--classes", o.classes, "number of classes in the folder's label maps")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--ignore-label", o.ignore_label, "label of folders that is not scored");
  app.add_option("--root", o.root, "folder of the dataset");
  app.add_option("--split", o.split, "of the dataset: val2017 of COCO, val of the others");
  app.add_option("--list", o.list,
                 "text file with the names of the images of COCO to score, one a line");
  app.add_option("--resolution", o.resolution,
                 "shorter side, of which the middle square is scored; 0: whole images; 320 for the "
                 "27 classes of COCO-Stuff and Cityscapes, else 0")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--matching", o.matching,
                 "what one-to-one matching maximises: iou or positions; positions for the 27 "
                 "classes of COCO-Stuff and Cityscapes, else iou")
      ->check(CLI::IsMember({"iou", "positions"}));
}

namespace detail {

inline void require(bool given, const std::string& dataset, const char* flags) {
  if (!given) throw std::invalid_argument("--dataset " + dataset + " needs " + flags);
}

/// The scheme and the files of a benchmark.
struct Benchmark {
  slotcon::data::LabelScheme scheme;
  std::vector<slotcon::data::LabelledFile> files;
};

inline Benchmark open_benchmark(const LabelledSetOptions& o, const std::string& split) {
  using namespace slotcon::data;  // NOLINT: the names of one room
  require(!o.root.empty(), o.dataset, "--root");
  if (o.dataset == "coco-stuff-27") {
    return {coco_stuff_27(), coco_stuff_files(o.root, split, o.list)};
  }
  require(o.list.empty(), o.dataset, "no --list");
  if (o.dataset == "pascal-voc") return {pascal_voc_21(), pascal_voc_files(o.root, split)};
  return {o.dataset == "cityscapes-19" ? cityscapes_19() : cityscapes_27(),
          cityscapes_files(o.root, split)};
}

/// Cuts an image and its labels to the protocol's square.
inline void cut_square(int resolution, slotcon::data::Image& image,
                       slotcon::data::LabelMap& labels) {
  if (resolution == 0) return;
  image = slotcon::data::centre_square(image, resolution);
  labels = slotcon::data::centre_square(labels, resolution);
}

}  // namespace detail

/// Reads the set that the flags name.
///
/// Throws std::invalid_argument for flags that do not go together, and as
/// slotcon::data::load_labelled_images.
inline LabelledSet read_labelled_set(const LabelledSetOptions& o) {
  using slotcon::data::Image;
  using slotcon::data::LabelMap;
  using slotcon::eval::Matching;
  const bool published = o.dataset == "coco-stuff-27" || o.dataset == "cityscapes-27";
  const bool by_positions = o.matching.empty() ? published : o.matching == "positions";
  LabelledSet set;
  set.resolution = o.resolution.value_or(published ? 320 : 0);
  set.matching = by_positions ? Matching::kPositions : Matching::kIou;
  if (o.dataset == "folders") {
    detail::require(!o.images.empty() && !o.labels.empty() && o.classes > 0, o.dataset,
                    "--images, --labels and --classes");
    set.name = o.images;
    set.classes = o.classes;
    set.ignore_label = o.ignore_label;
    set.images = slotcon::data::load_labelled_images(
        slotcon::data::labelled_folders(o.images, o.labels),
        [&](Image& image, LabelMap& labels) { detail::cut_square(set.resolution, image, labels); });
    return set;
  }
  const auto split = !o.split.empty() ? o.split : o.dataset == "coco-stuff-27" ? "val2017" : "val";
  const auto benchmark = detail::open_benchmark(o, split);
  set.name = benchmark.scheme.name + ", split " + split;
  if (!o.list.empty()) set.name += ", images of " + o.list;
  set.class_names = benchmark.scheme.classes;
  set.classes = static_cast<std::int64_t>(set.class_names.size());
  set.images =
      slotcon::data::load_labelled_images(benchmark.files, [&](Image& image, LabelMap& labels) {
        labels = benchmark.scheme.apply(std::move(labels));
        detail::cut_square(set.resolution, image, labels);
      });
  return set;
}

}  // namespace examples
