// The images that `pretrain` trains on, scores and shows.
#pragma once

#include <slotcon/data/cached_images.h>
#include <slotcon/data/image_folder.h>
#include <slotcon/data/labelled_images.h>
#include <slotcon/data/scenes.h>
#include <slotcon/data/two_view_transform.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/evaluation.h"
#include "support/options.h"

namespace examples {

constexpr std::uint64_t kTrainingSceneSeed = 1;
constexpr std::uint64_t kScoringSceneSeed = 2;
constexpr std::int64_t kScoringScenes = 100;

inline bool uses_scenes(const PretrainOptions& options) {
  return options.training.data == "scenes";
}

/// The training images, decoded ones kept in memory as far as --cache-mb goes.
inline std::shared_ptr<slotcon::data::ImageSource> open_images(const PretrainOptions& options) {
  std::shared_ptr<slotcon::data::ImageSource> images;
  if (uses_scenes(options)) {
    images =
        std::make_shared<slotcon::data::SceneImages>(kTrainingSceneSeed, options.training.scenes);
  } else {
    images = std::make_shared<slotcon::data::ImageFolder>(options.training.data);
  }
  const auto budget = static_cast<std::size_t>(options.run.cache_mb) << 20;
  return std::make_shared<slotcon::data::CachedImages>(images, budget);
}

inline slotcon::data::TwoViewOptions view_options(const TrainingOptions& training) {
  slotcon::data::TwoViewOptions options;
  options.image_size = static_cast<int>(training.image_size);
  options.min_scale = training.min_scale;
  for (auto& view : options.photometric) view.max_blur_sigma = training.blur_max;
  return options;
}

/// Throws std::invalid_argument unless the flags for scoring are given together.
inline void check_evaluation_flags(const RunOptions& run) {
  if (run.eval_images.empty() != run.eval_labels.empty()) {
    throw std::invalid_argument("expected --eval-images and --eval-labels together");
  }
  if (!run.eval_images.empty() && run.eval_classes < 1) {
    throw std::invalid_argument("expected --eval-classes >= 1 with --eval-images");
  }
}

/// The labelled images to score on: those of the flags, or scenes for a run on scenes; else none.
inline std::optional<slotcon::data::LabelledImages> labelled_images(
    const PretrainOptions& options) {
  if (!options.run.eval_images.empty()) {
    return slotcon::data::load_labelled_images(
        slotcon::data::labelled_folders(options.run.eval_images, options.run.eval_labels));
  }
  if (!uses_scenes(options)) return std::nullopt;
  slotcon::data::LabelledImages set;
  const slotcon::data::SceneImages scenes(kScoringSceneSeed, kScoringScenes);
  for (std::int64_t i = 0; i < scenes.size(); ++i) {
    auto scene = scenes.scene(i);
    set.images.push_back(std::move(scene.image));
    set.labels.push_back(std::move(scene.labels));
    set.names.push_back("scene " + std::to_string(i));
  }
  return set;
}

/// What the labelled images are.
inline std::string name_of_labelled_images(const PretrainOptions& options) {
  if (!options.run.eval_images.empty()) return options.run.eval_images;
  return "scenes, another set than the one it was trained on";
}

/// Names of the classes that are scored, where they are known.
inline std::vector<std::string> class_names(const PretrainOptions& options) {
  if (!options.run.eval_images.empty()) return {};
  return {slotcon::data::kSceneClasses.begin(), slotcon::data::kSceneClasses.end()};
}

inline ScoringOptions scoring_options(const PretrainOptions& options) {
  const bool scenes = options.run.eval_images.empty();
  return {scenes ? static_cast<std::int64_t>(slotcon::data::kSceneClasses.size())
                 : options.run.eval_classes,
          options.run.ignore_label, options.model.seed};
}

/// Images for the pictures, and what they are.
struct ShownImages {
  std::shared_ptr<const slotcon::data::ImageSource> source;
  std::string description;
  std::vector<std::string> names;  ///< of each image; may be empty
};

/// Unseen images where there are some, otherwise those that were trained on.
inline ShownImages images_to_show(const PretrainOptions& options,
                                  std::shared_ptr<const slotcon::data::ImageSource> trained_on) {
  const auto& folder = options.run.eval_images;
  if (!folder.empty()) {
    auto images = std::make_shared<slotcon::data::ImageFolder>(folder);
    std::vector<std::string> names;
    for (const auto& file : images->paths()) {
      names.push_back(std::filesystem::relative(file, folder).string());
    }
    return {std::move(images), folder + ", which it was not trained on", std::move(names)};
  }
  if (uses_scenes(options)) {
    return {std::make_shared<slotcon::data::SceneImages>(kScoringSceneSeed, kScoringScenes),
            "scenes that it was not trained on",
            {}};
  }
  return {std::move(trained_on), options.training.data + ", which it was trained on", {}};
}

}  // namespace examples
