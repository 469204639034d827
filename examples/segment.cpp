// Scores a checkpoint's unsupervised segmentation of labelled images, beside every baseline.
//
//     segment --checkpoint run1/current.ckpt --images val/images --labels val/labels --classes 11
//
// Label maps are PNG files (8-bit gray or palette) of the images' names and sizes.
#include <cstdio>
#include <fstream>
#include <string>

#include "support/errors.h"
#include "support/evaluation.h"
#include "support/trained_model.h"

namespace examples {
namespace {

struct SegmentOptions {
  std::string checkpoint, images, labels, json;
  ScoringOptions scoring{0, 255};
};

void add_flags(CLI::App& app, SegmentOptions& o) {
  app.option_defaults()->always_capture_default();
  app.add_option("--checkpoint", o.checkpoint,
                 "what pretrain or convert wrote, or published weights (.pth)")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--images", o.images, "folder of images")->required();
  app.add_option("--labels", o.labels, "folder of label maps, PNG, same names")->required();
  app.add_option("--classes", o.scoring.classes, "number of classes")
      ->required()
      ->check(CLI::PositiveNumber);
  app.add_option("--ignore-label", o.scoring.ignore_label, "label that is not scored");
  app.add_option("--seed", o.scoring.seed, "of the k-means samples and starts");
  app.add_option("--json", o.json, "also write the table, with the classes' own IoU, to this file");
}

/// The IoU of each class, by the one-to-one matching, of the rows about the trained network.
void print_classes(const std::vector<ScoreRow>& rows, std::int64_t classes) {
  std::printf("\nIoU of each class, one-to-one\n%-34s", "");
  for (std::int64_t c = 0; c < classes; ++c) std::printf(" %5lld", static_cast<long long>(c));
  std::printf("\n");
  for (const auto& row : rows) {
    if (row.method.rfind("trained:", 0) != 0 || row.clusters < classes) continue;
    const auto name = row.method + " (" + std::to_string(row.clusters) + ")";
    std::printf("%-34s", name.c_str());
    for (const auto iou : row.one_to_one.class_iou) std::printf(" %5.2f", iou);
    std::printf("\n");
  }
}

int run_program(int argc, char** argv) {
  SegmentOptions options;
  CLI::App app("Scores a checkpoint's segmentation of labelled images beside every baseline.");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto trained = read_trained_model(options.checkpoint);
  const auto set = slotcon::data::load_labelled_images(options.images, options.labels);
  const auto rows = with_trained_model(trained, [&](auto model) {
    return score_table(model, trained.options, set, options.scoring);
  });
  print_table(rows, set.images.size());
  print_classes(rows, options.scoring.classes);
  if (!options.json.empty()) write_json(options.json, rows);
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("segment", examples::run_program, argc, argv);
}
