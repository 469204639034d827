// Shows what a checkpoint's slots found: heat maps and segmentations, nearest images of prototypes.
//
//     visualize --checkpoint run1/current.ckpt --images photos/
//     visualize --checkpoint run1/current.ckpt --images photo.jpg --slots 3 17 40
//
// Besides a picture for each image and one of the prototypes it writes report.html: some of the
// images, the most used prototypes and how often each wins.
#include <slotcon/data/image_file.h>
#include <slotcon/data/image_folder.h>
#include <slotcon/view/prototype_sheet.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/evaluation.h"
#include "support/pictures.h"
#include "support/report/reports.h"
#include "support/trained_model.h"

namespace examples {
namespace {

using slotcon::data::Image;

struct VisualizeOptions {
  std::string checkpoint, images, output_dir = "pictures";
  std::vector<std::int64_t> slots;
  std::int64_t heat_maps = 6, top_k = 5, limit = 100, size = 256;
};

void add_flags(CLI::App& app, VisualizeOptions& o) {
  app.option_defaults()->always_capture_default();
  add_checkpoint_flag(app, o.checkpoint);
  app.add_option("--images", o.images, "an image, a folder of images, or a .txt list of them")
      ->required();
  app.add_option("--output-dir", o.output_dir, "where the pictures go");
  app.add_option("--slots", o.slots, "slots to draw; without it the largest of each image");
  app.add_option("--heat-maps", o.heat_maps, "heat maps of an image, without --slots")
      ->check(CLI::PositiveNumber);
  app.add_option("--top-k", o.top_k, "nearest images of a prototype")->check(CLI::PositiveNumber);
  app.add_option("--limit", o.limit, "images to look at, the first ones")
      ->check(CLI::PositiveNumber);
  app.add_option("--size", o.size, "longer images are reduced to this shorter side; 0: as they are")
      ->check(CLI::NonNegativeNumber);
}

std::vector<Image> load_images(const VisualizeOptions& options) {
  std::vector<Image> images;
  if (!std::filesystem::is_directory(options.images) &&
      std::filesystem::path(options.images).extension() != ".txt") {
    images.push_back(reduced(slotcon::data::read_image(options.images), options.size));
    return images;
  }
  const slotcon::data::ImageFolder folder(options.images);
  for (std::int64_t i = 0; i < std::min(options.limit, folder.size()); ++i) {
    images.push_back(reduced(folder.load(i), options.size));
  }
  return images;
}

void check_slots(const std::vector<std::int64_t>& slots, std::int64_t num_prototypes) {
  for (const auto slot : slots) {
    TORCH_CHECK_VALUE(slot >= 0 && slot < num_prototypes, "expected --slots in 0 ... ",
                      num_prototypes - 1, ", got ", slot);
  }
}

void write_picture(const std::filesystem::path& file, const Image& picture, const char* content) {
  slotcon::data::write_png(file, picture);
  std::printf("%s  %s\n", file.c_str(), content);
}

std::string picture_name(std::size_t image) {
  char name[32];
  std::snprintf(name, sizeof name, "image_%04zu.png", image);
  return name;
}

/// Each image with its segmentation and heat maps, one picture an image.
void draw_images(const std::vector<Image>& images, const DenseMaps& maps,
                 const VisualizeOptions& options) {
  const std::filesystem::path folder(options.output_dir);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto& scores = maps.scores[i];
    const auto winners = winning_slots(scores, images[i]);
    const auto slots =
        options.slots.empty() ? largest_slots(winners, options.heat_maps) : options.slots;
    const auto sheet = slotcon::view::contact_sheet({slot_row(images[i], scores, winners, slots)});
    std::string shown = "image, segmentation, heat maps of slots";
    for (const auto slot : slots) shown += " " + std::to_string(slot);
    write_picture(folder / picture_name(i), sheet, shown.c_str());
  }
}

void draw_prototypes(const std::vector<Image>& images, const DenseMaps& maps,
                     const VisualizeOptions& options) {
  const auto scores = maps_of_one_size(maps.scores);
  auto prototypes = options.slots;
  if (prototypes.empty()) prototypes = largest_slots(scores.argmax(1), scores.size(1));
  const auto ranking = slotcon::view::rank_images(scores, std::min(options.top_k, scores.size(0)));
  const auto sheet =
      slotcon::view::prototype_sheet(LoadedImages(images), scores, ranking, prototypes);
  std::string rows = "nearest images of prototypes, one a row:";
  for (const auto prototype : prototypes) rows += " " + std::to_string(prototype);
  write_picture(std::filesystem::path(options.output_dir) / "prototypes.png", sheet, rows.c_str());
}

void write_report(const std::vector<Image>& images, const DenseMaps& maps,
                  const VisualizeOptions& options, const ModelOptions& model) {
  SlotPictures pictures{options.images, {}, {}, maps.scores};
  for (std::size_t i = 0; i < images.size(); ++i) {
    pictures.names.push_back(picture_name(i));
    pictures.images.push_back(reduced(images[i], kShownSide));
  }
  const Facts facts{{"checkpoint", options.checkpoint},
                    {"images", options.images},
                    {"size", std::to_string(options.size)}};
  const auto file = std::filesystem::path(options.output_dir) / "report.html";
  const auto lead = options.checkpoint + " on " + std::to_string(images.size()) + " images of " +
                    options.images + ".";
  write_page(file, findings_page("SlotCon slots", lead, {std::nullopt, std::move(pictures)}, facts,
                                 model));
  std::printf("%s  a page with heat maps, prototypes and how often they win\n", file.c_str());
}

int run_program(int argc, char** argv) {
  VisualizeOptions options;
  CLI::App app("Draws heat maps, segmentations and the nearest images of prototypes.");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto trained = read_trained_model(options.checkpoint);
  check_slots(options.slots, trained.options.num_prototypes);
  const auto images = load_images(options);
  std::filesystem::create_directories(options.output_dir);
  const auto maps =
      with_trained_model(trained, [&](auto model) { return dense_maps(model, images); });
  draw_images(images, maps, options);
  draw_prototypes(images, maps, options);
  write_report(images, maps, options, trained.options);
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("visualize", examples::run_program, argc, argv);
}
