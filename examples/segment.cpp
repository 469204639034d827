// Scores a checkpoint's unsupervised segmentation of labelled images, beside every baseline.
//
//     segment --checkpoint run1/current.ckpt --images val/images --labels val/labels --classes 11
//
// With --report FILE it writes a page too, with pictures of what the slots found.
//
// Label maps are PNG files (8-bit gray or palette) of the images' names and sizes.
#include <cstdio>
#include <fstream>
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

struct SegmentOptions {
  std::string checkpoint, images, labels, json, report;
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
  app.add_option("--report", o.report,
                 "also write a page (HTML) with the table and pictures of what the slots found");
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

void write_report(const SegmentOptions& options, const TrainedModel& trained,
                  const slotcon::data::LabelledImages& set, std::vector<ScoreRow> rows) {
  Findings findings;
  findings.scores = {std::move(rows), scoring_protocol(set, options.images, options.scoring),
                     /*classes=*/{}};
  findings.pictures = with_trained_model(trained, [&](auto model) {
    return look_at(model, LoadedImages(set.images), set.names, options.images);
  });
  const Facts facts{{"checkpoint", options.checkpoint},
                    {"images", options.images},
                    {"labels", options.labels},
                    {"classes", std::to_string(options.scoring.classes)},
                    {"ignore-label", std::to_string(options.scoring.ignore_label)},
                    {"seed", std::to_string(options.scoring.seed)}};
  const auto lead = options.checkpoint + " on " + std::to_string(set.images.size()) +
                    " labelled images of " + options.images + ".";
  write_page(options.report,
             findings_page("SlotCon segmentation", lead, findings, facts, trained.options));
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
  if (!options.report.empty()) write_report(options, trained, set, rows);
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("segment", examples::run_program, argc, argv);
}
