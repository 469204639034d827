// The pages that the programs write.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/options.h"
#include "support/report/page.h"
#include "support/report/score_tables.h"
#include "support/report/slot_pictures.h"
#include "support/report/training_curves.h"
#include "support/training_history.h"
#include "support/training_log.h"

namespace examples {

/// Where a run stands when its page is written.
struct RunProgress {
  std::string status;  ///< "running", "interrupted", "diverged" or "finished"
  std::int64_t step, total_steps, images;
  double seconds;  ///< of training
};

/// What a page shows beside the training: what the end of a run brings.
struct Findings {
  std::optional<ReportedScores> scores;
  std::optional<SlotPictures> pictures;
};

namespace detail {

/// Settings as facts, under the names of the flags.
inline Facts facts_of(const nlohmann::json& settings) {
  Facts facts;
  for (const auto& [name, value] : settings.items()) {
    auto flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    facts.emplace_back(flag, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return facts;
}

inline std::string grouped(std::int64_t number) {
  return slotcon::view::fixed_number(static_cast<double>(number), 0);
}

inline void add_findings(const Findings& findings, Page& page) {
  if (findings.pictures) {
    page.sections.push_back(slots_section(*findings.pictures));
    page.sections.push_back(prototypes_section(*findings.pictures));
  }
  if (findings.scores) {
    const auto figures = key_scores(findings.scores->rows);
    page.figures.insert(page.figures.end(), figures.begin(), figures.end());
    page.sections.push_back(scores_section(*findings.scores));
  }
}

inline Facts run_facts(const RunOptions& run) {
  Facts facts{{"output-dir", run.output_dir},
              {"nproc", std::to_string(run.nproc)},
              {"threads", run.threads == 0 ? "all cores" : std::to_string(run.threads)},
              {"num-workers", std::to_string(run.num_workers)},
              {"print-freq", std::to_string(run.print_freq)}};
  if (!run.eval_images.empty()) {
    facts.insert(facts.end(), {{"eval-images", run.eval_images},
                               {"eval-labels", run.eval_labels},
                               {"eval-classes", std::to_string(run.eval_classes)},
                               {"ignore-label", std::to_string(run.ignore_label)}});
  }
  return facts;
}

inline PageSection options_section(const PretrainOptions& options) {
  return {"options", "Options",
          "<h3>Model</h3>\n" + list_of(facts_of(options.model)) + "<h3>Data and training</h3>\n" +
              list_of(facts_of(options.training)) + "<h3>Run</h3>\n" +
              list_of(run_facts(options.run))};
}

}  // namespace detail

/// The page about a run: its log as far as it goes, and `findings` where there are some.
inline Page training_page(const PretrainOptions& options, const TrainingHistory& history,
                          const RunProgress& progress, const Findings& findings) {
  const auto prototypes = options.model.num_prototypes;
  Page page;
  page.title = "SlotCon training";
  page.status = progress.status;
  page.lead = detail::grouped(progress.step) + " of " + detail::grouped(progress.total_steps) +
              " steps in " + duration(progress.seconds) + ", on " +
              detail::grouped(progress.images) + " images of " + options.training.data + ": " +
              options.model.arch + " encoder, " + std::to_string(prototypes) +
              " prototypes, batches of " + std::to_string(options.training.batch_size) + ".";
  page.warnings = warnings_in(history);
  detail::add_findings(findings, page);
  if (has_figure(history, "cross_entropy")) {
    page.figures.push_back({"Grouping loss",
                            slotcon::view::short_number(last_of(history, "cross_entropy")),
                            level_of_ignorance(prototypes).label + " means: nothing learned"});
  }
  page.sections.push_back(training_section(history, prototypes));
  page.sections.push_back(diagnostics_section(history, prototypes));
  page.sections.push_back(detail::options_section(options));
  return page;
}

/// The page about a network that was trained before: what it finds in images, and how it scores.
inline Page findings_page(const std::string& title, const std::string& lead,
                          const Findings& findings, const Facts& options,
                          const ModelOptions& model) {
  Page page;
  page.title = title;
  page.lead = lead;
  detail::add_findings(findings, page);
  page.sections.push_back(
      {"options", "Options",
       list_of(options) + "<h3>Model</h3>\n" + list_of(detail::facts_of(model))});
  return page;
}

/// Writes report.html into the folder of a run, from the log that lies there.
inline void write_report(const PretrainOptions& options, const RunProgress& progress,
                         const Findings& findings) {
  const std::filesystem::path folder(options.run.output_dir);
  write_page(
      folder / "report.html",
      training_page(options, read_training_history(folder / "log.jsonl"), progress, findings));
}

}  // namespace examples
