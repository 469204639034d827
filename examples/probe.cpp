// What a checkpoint's pooled features know about classes of images that it was not trained on.
//
//     probe --checkpoint run1/current.ckpt --train train/ --test val/
//
// Both folders have a folder of images for each class, of the same names.
#include <slotcon/data/centre_square.h>
#include <slotcon/data/class_folders.h>
#include <slotcon/data/image_file.h>
#include <slotcon/eval/linear_probe.h>
#include <slotcon/eval/neighbours.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/errors.h"
#include "support/evaluation.h"
#include "support/trained_model.h"

namespace examples {
namespace {

struct ProbeOptions {
  std::string checkpoint, train, test, json;
  int resolution = 224;
  std::int64_t neighbours = 20;
  double temperature = 0.07, penalty = 1e-4;
};

void add_flags(CLI::App& app, ProbeOptions& o) {
  app.option_defaults()->always_capture_default();
  add_checkpoint_flag(app, o.checkpoint);
  app.add_option("--train", o.train, "folder with a folder of images for each class")->required();
  app.add_option("--test", o.test, "the same, of other images")->required();
  app.add_option("--resolution", o.resolution, "shorter side, of which the middle square is seen")
      ->check(CLI::PositiveNumber);
  app.add_option("--neighbours", o.neighbours, "that vote, fewer where there are fewer images")
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", o.temperature, "of their votes")->check(CLI::PositiveNumber);
  app.add_option("--penalty", o.penalty, "of the linear probe's weights")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--json", o.json, "also write the figures to this file");
}

/// Pooled features [N,C] of images and their classes [N].
struct Features {
  torch::Tensor values, classes;
};

template <class Model>
Features features_of(Model& model, const slotcon::data::ClassFolders& set, int resolution) {
  model->eval();
  std::vector<torch::Tensor> pooled;
  for (const auto& path : set.paths) {
    const auto image = slotcon::data::centre_square(slotcon::data::read_image(path), resolution);
    pooled.push_back(model->teacher_backbone(network_input(image)).mean({2, 3}));
  }
  return {torch::cat(pooled), torch::tensor(set.classes, torch::kLong)};
}

double accuracy(const torch::Tensor& predicted, const torch::Tensor& classes) {
  return (predicted == classes).to(torch::kDouble).mean().template item<double>();
}

/// Shares in [0,1] of one network.
nlohmann::json figures_of(const Features& train, const Features& test, std::int64_t classes,
                          const ProbeOptions& o) {
  using namespace slotcon::eval;  // NOLINT: the names of one room
  const auto k = std::min(o.neighbours, train.values.size(0));
  const auto near = nearest_neighbours(test.values, train.values, k);
  const auto vote = weighted_vote(near, train.classes, classes, o.temperature);
  const Neighbours first{near.indices.slice(1, 0, 1), near.cosines.slice(1, 0, 1)};
  const auto probe = fit_linear_probe(train.values, one_hot_targets(train.classes, classes),
                                      LinearProbeOptions().penalty(o.penalty));
  return {{"neighbour_vote", accuracy(vote, test.classes)},
          {"linear_probe", accuracy(probe.logits(test.values).argmax(1), test.classes)},
          {"retrieval_precision_at_1", neighbour_precision(first, test.classes, train.classes)},
          {"retrieval_precision_at_k", neighbour_precision(near, test.classes, train.classes)}};
}

template <class Model>
nlohmann::json probed(Model& model, const slotcon::data::ClassFolders& train,
                      const slotcon::data::ClassFolders& test, const ProbeOptions& o) {
  return figures_of(features_of(model, train, o.resolution), features_of(model, test, o.resolution),
                    static_cast<std::int64_t>(train.names.size()), o);
}

void print_figures(const nlohmann::json& results) {
  std::printf("%-12s %14s %14s %16s %16s\n", "", "k-NN vote", "linear probe", "retrieval @1",
              "retrieval @k");
  for (const auto* network : {"trained", "untrained"}) {
    const auto& f = results.at(network);
    std::printf("%-12s %14.3f %14.3f %16.3f %16.3f\n", network,
                f.at("neighbour_vote").get<double>(), f.at("linear_probe").get<double>(),
                f.at("retrieval_precision_at_1").get<double>(),
                f.at("retrieval_precision_at_k").get<double>());
  }
}

int run_program(int argc, char** argv) {
  ProbeOptions options;
  CLI::App app("Scores what a checkpoint's pooled features know about the classes of images.");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto trained = read_trained_model(options.checkpoint);
  const auto train = slotcon::data::list_class_folders(options.train);
  const auto test = slotcon::data::list_class_folders(options.test);
  if (train.names != test.names) {
    throw std::invalid_argument("expected the same classes in '" + options.train + "' and '" +
                                options.test + "'");
  }
  const auto protocol = std::to_string(train.paths.size()) + " images to learn from, " +
                        std::to_string(test.paths.size()) + " to score, " +
                        std::to_string(train.names.size()) + " classes; middle squares of " +
                        std::to_string(options.resolution) +
                        " pixels; teacher's backbone, mean over positions; k = " +
                        std::to_string(options.neighbours) + ", temperature " +
                        nlohmann::json(options.temperature).dump() + ", penalty " +
                        nlohmann::json(options.penalty).dump();
  std::printf("%s\n", protocol.c_str());
  nlohmann::json results{{"protocol", protocol}, {"classes", train.names}};
  results["trained"] =
      with_trained_model(trained, [&](auto model) { return probed(model, train, test, options); });
  results["untrained"] =
      with_model(trained.options, [&](auto model) { return probed(model, train, test, options); });
  print_figures(results);
  if (!options.json.empty()) write_json(options.json, results);
  return 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  return examples::report_errors("probe", examples::run_program, argc, argv);
}
