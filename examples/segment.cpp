// Scores a checkpoint's unsupervised segmentation of labelled images, beside every baseline.
//
//     segment --checkpoint run1/current.ckpt --images val/images --labels val/labels --classes 11
//     segment --checkpoint coco.pth --dataset coco-stuff-27 --root coco --list curated.txt --seeds
//     3
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
#include "support/labelled_set.h"
#include "support/linear_segmentation.h"
#include "support/pictures.h"
#include "support/report/reports.h"
#include "support/trained_model.h"

namespace examples {
namespace {

struct SegmentOptions {
  std::string checkpoint, json, report;
  LabelledSetOptions set, probe;  ///< scored on, and what a linear probe learns from
  std::uint64_t seed = 0;
  std::int64_t seeds = 1;
};

void add_flags(CLI::App& app, SegmentOptions& o) {
  app.option_defaults()->always_capture_default();
  add_checkpoint_flag(app, o.checkpoint);
  add_labelled_set_flags(app, o.set);
  app.add_option("--probe-images", o.probe.images,
                 "folder of other images, whose labels a linear probe of the features learns");
  app.add_option("--probe-labels", o.probe.labels, "folder of their label maps");
  app.add_option("--probe-split", o.probe.split, "the same of a dataset: its training split");
  app.add_option("--seed", o.seed, "of the k-means samples and starts");
  app.add_option("--seeds", o.seeds, "seeds from --seed on, for a mean and a deviation")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", o.json, "also write the table, with the classes' own IoU, to this file");
  app.add_option("--report", o.report,
                 "also write a page (HTML) with the table and pictures of what the slots found");
}

/// The IoU of each class, by the one-to-one matching, of the rows about the trained network.
void print_classes(const std::vector<ScoreRow>& rows, std::int64_t classes) {
  std::printf("\nIoU of each class, one-to-one\n%-34s", "");
  for (std::int64_t c = 0; c < classes; ++c) std::printf(" %5lld", static_cast<long long>(c));
  std::printf("\n");
  for (const auto* row : rows_with_classes(rows)) {
    const auto name = row->method + " (" + std::to_string(row->clusters) + ")";
    std::printf("%-34s", name.c_str());
    for (const auto iou : row->one_to_one.class_iou) std::printf(" %5.2f", iou);
    std::printf("\n");
  }
}

ScoringOptions scoring_of(const LabelledSet& set, const SegmentOptions& options) {
  return {set.classes, set.ignore_label, options.seed, options.seeds, set.matching};
}

/// The set that a linear probe learns from: another of the kind that is scored on.
LabelledSet read_probe_set(const SegmentOptions& options) {
  auto o = options.set;
  o.images = options.probe.images;
  o.labels = options.probe.labels;
  o.split = options.probe.split;
  o.list.clear();
  return read_labelled_set(o);
}

bool asks_for_probe(const SegmentOptions& options) {
  return !options.probe.images.empty() || !options.probe.split.empty();
}

/// Prints what a linear probe reaches on the set, and gives it for programs to read.
nlohmann::json probe(const TrainedModel& trained, const LabelledSet& set,
                     const SegmentOptions& options) {
  const auto& dataset = options.set.dataset;
  detail::require(dataset == "folders" || !options.probe.split.empty(), dataset, "--probe-split");
  const auto train = read_probe_set(options);
  const auto score = with_trained_model(
      trained, [&](auto model) { return linear_segmentation(model, train, set, options.seed); });
  std::printf(
      "\nLinear probe on the backbone, supervised by the labels of %zu images of %s:\n"
      "mIoU %.3f (%.3f)\n",
      train.images.images.size(), train.name.c_str(), score.mean_iou, score.pixel_accuracy);
  return {{"images", train.images.images.size()},
          {"mean_iou", score.mean_iou},
          {"pixel_accuracy", score.pixel_accuracy},
          {"class_iou", score.class_iou}};
}

void write_report(const SegmentOptions& options, const TrainedModel& trained,
                  const LabelledSet& set, std::vector<ScoreRow> rows, const Facts& protocol) {
  Findings findings;
  findings.scores = {std::move(rows), protocol, set.class_names};
  findings.pictures = with_trained_model(trained, [&](auto model) {
    return look_at(model, LoadedImages(set.images.images), set.images.names, set.name);
  });
  const Facts facts{{"checkpoint", options.checkpoint}, {"dataset", options.set.dataset}};
  const auto lead = options.checkpoint + " on " + std::to_string(set.images.images.size()) +
                    " labelled images of " + set.name + ".";
  write_page(options.report,
             findings_page("SlotCon segmentation", lead, findings, facts, trained.options));
}

int run_program(int argc, char** argv) {
  SegmentOptions options;
  CLI::App app("Scores a checkpoint's segmentation of labelled images beside every baseline.");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto trained = read_trained_model(options.checkpoint);
  const auto set = read_labelled_set(options.set);
  const auto scoring = scoring_of(set, options);
  const auto protocol = scoring_protocol(set.images, set.name, scoring, set.resolution);
  print_protocol(protocol);
  const auto rows = with_trained_model(trained, [&](auto model) {
    return score_table(model, trained.options, set.images, scoring);
  });
  print_table(rows, set.images.images.size());
  print_classes(rows, set.classes);
  auto results = results_of({rows, protocol, set.class_names});
  if (asks_for_probe(options)) results["linear_probe"] = probe(trained, set, options);
  if (!options.json.empty()) write_json(options.json, results);
  if (!options.report.empty()) write_report(options, trained, set, rows, protocol);
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("segment", examples::run_program, argc, argv);
}
