// The scores of a segmentation as tables, with how they came about.
#pragma once

#include <slotcon/view/number_text.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/evaluation.h"
#include "support/report/page.h"

namespace examples {

/// Rows of scores and how they came about.
struct ReportedScores {
  std::vector<ScoreRow> rows;
  Facts protocol;
  std::vector<std::string> classes;  ///< names; may be empty
};

/// Sizes of the images: "128 x 96", or the smallest and the largest area where they differ.
inline std::string sizes_of(const std::vector<slotcon::data::Image>& images) {
  const auto area = [](const auto& a, const auto& b) {
    return a.width * a.height < b.width * b.height;
  };
  const auto [least, most] = std::minmax_element(images.begin(), images.end(), area);
  const auto size = [](const auto& image) {
    return std::to_string(image->width) + " x " + std::to_string(image->height);
  };
  return size(least) == size(most) ? size(least) : size(least) + " to " + size(most);
}

/// What docs/results.md calls the protocol, for `set`, which is `name`. `resolution`: the side of
/// the middle squares that the images were cut to, 0 for whole images.
inline Facts scoring_protocol(const slotcon::data::LabelledImages& set, const std::string& name,
                              const ScoringOptions& options, int resolution = 0) {
  const auto side = std::to_string(resolution);
  const auto seeds = options.seeds == 1 ? "seed " + std::to_string(options.seed)
                                        : "means over " + std::to_string(options.seeds) +
                                              " seeds from " + std::to_string(options.seed);
  return {
      {"Images", std::to_string(set.images.size()) + " of " + name},
      {"Classes", std::to_string(options.classes) + "; label " +
                      std::to_string(options.ignore_label) + " is not scored"},
      {"Resolution",
       (resolution == 0 ? "whole images as they are, " + sizes_of(set.images) + " pixels"
                        : "shorter side " + side + ", middle square of " + side + " x " + side) +
           "; scores upsampled bilinearly to the label maps"},
      {"Network", "teacher, evaluation mode; untrained: the same network as it started"},
      {"Slots", "each pixel goes to the prototype with the highest score"},
      {"k-means", "on the backbone's features, centred and normalised, or on pixels; fitted on " +
                      slotcon::view::fixed_number(slotcon::eval::kMaxFittedPositions, 0) +
                      " positions, 3 restarts, " + seeds},
      {"Hungarian",
       std::string("each class gets one cluster, the matching with the highest ") +
           (options.matching == slotcon::eval::Matching::kIou ? "sum of IoU"
                                                              : "number of matched positions") +
           "; what is left over counts as errors"},
      {"Majority",
       "each cluster takes its most frequent class; more clusters make that easier, so "
       "compare rows with equal numbers of clusters"},
      {"Means", "over all classes that occur"}};
}

inline void print_protocol(const Facts& protocol) {
  std::printf("\nProtocol\n");
  for (const auto& [name, text] : protocol) std::printf("  %s: %s\n", name.c_str(), text.c_str());
}

/// All of it for programs to read.
inline nlohmann::json results_of(const ReportedScores& scores) {
  nlohmann::json json{{"rows", scores.rows}, {"classes", scores.classes}};
  for (const auto& [name, text] : scores.protocol) json["protocol"][name] = text;
  return json;
}

namespace detail {

/// A number of a table with a bar behind it, as long as its share; with its deviation over seeds,
/// where it has one.
inline std::string share_cell(double share, bool best, double deviation = 0) {
  auto text = slotcon::view::fixed_number(share, 3);
  if (deviation > 0) text += " \u00b1 " + slotcon::view::fixed_number(deviation, 3);
  if (!std::isfinite(share)) return "<td>" + text + "</td>";
  return std::string("<td class=\"share") + (best ? " best" : "") +
         "\" style=\"--share:" + slotcon::view::fixed_number(share, 3) + "\">" + text + "</td>";
}

/// The highest mean IoU of the rows with each number of clusters, where there are several.
template <class Score>
std::map<std::int64_t, double> best_scores(const std::vector<ScoreRow>& rows, const Score& score) {
  std::map<std::int64_t, double> best;
  std::map<std::int64_t, int> count;
  for (const auto& row : rows) {
    const auto found = best.emplace(row.clusters, score(row)).first;
    found->second = std::fmax(found->second, score(row));
    ++count[row.clusters];
  }
  for (const auto& [clusters, rows_of_it] : count) {
    if (rows_of_it == 1) best.erase(clusters);
  }
  return best;
}

/// What a row is about: a trained network, an untrained one, or none.
inline std::string network_of(const ScoreRow& row) {
  const auto colon = row.method.find(':');
  return colon == std::string::npos ? "" : row.method.substr(0, colon);
}

}  // namespace detail

/// All rows, in groups by what they are about.
inline std::string table_of_scores(const std::vector<ScoreRow>& rows) {
  const auto one_to_one = [](const ScoreRow& row) { return row.one_to_one.mean_iou; };
  const auto majority = [](const ScoreRow& row) { return row.majority.mean_iou; };
  const auto best = detail::best_scores(rows, one_to_one);
  const auto best_majority = detail::best_scores(rows, majority);
  const auto is_best = [](const auto& scores, const ScoreRow& row, double score) {
    const auto found = scores.find(row.clusters);
    return found != scores.end() && found->second == score;
  };
  std::string html =
      "<table>\n<caption>Bold: the best mean IoU of its number of clusters.</caption>\n<thead>\n"
      "<tr><td></td><td></td><th scope=\"colgroup\" colspan=\"2\">Hungarian</th>"
      "<th scope=\"colgroup\" colspan=\"2\">Majority</th></tr>\n<tr><th scope=\"col\">Method</th>"
      "<th scope=\"col\">Clusters</th><th scope=\"col\">mean IoU</th>"
      "<th scope=\"col\">accuracy</th><th scope=\"col\">mean IoU</th>"
      "<th scope=\"col\">accuracy</th></tr>\n</thead>\n<tbody>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    if (i > 0 && detail::network_of(row) != detail::network_of(rows[i - 1])) {
      html += "</tbody>\n<tbody>\n";
    }
    html += "<tr><th scope=\"row\">" + slotcon::view::escape_html(row.method) + "</th><td>" +
            std::to_string(row.clusters) + "</td>" +
            detail::share_cell(one_to_one(row), is_best(best, row, one_to_one(row)),
                               row.one_to_one_deviation) +
            detail::share_cell(row.one_to_one.pixel_accuracy, false) +
            detail::share_cell(majority(row), is_best(best_majority, row, majority(row)),
                               row.majority_deviation) +
            detail::share_cell(row.majority.pixel_accuracy, false) + "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

/// The rows about the trained network that have a cluster for each class.
inline std::vector<const ScoreRow*> rows_with_classes(const std::vector<ScoreRow>& rows) {
  std::vector<const ScoreRow*> found;
  for (const auto& row : rows) {
    const auto classes = static_cast<std::int64_t>(row.one_to_one.class_iou.size());
    if (detail::network_of(row) == "trained" && row.clusters >= classes) found.push_back(&row);
  }
  return found;
}

/// The IoU of each class in those rows.
inline std::string table_of_classes(const std::vector<ScoreRow>& rows,
                                    const std::vector<std::string>& names) {
  const auto shown = rows_with_classes(rows);
  if (shown.empty()) return "";
  std::string html =
      "<table>\n<caption>IoU of each class, Hungarian.</caption>\n<thead><tr><th scope=\"col\">"
      "Class</th>";
  for (const auto* row : shown) {
    html += "<th scope=\"col\">" + slotcon::view::escape_html(row->method) + " (" +
            std::to_string(row->clusters) + ")</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t c = 0; c < shown.front()->one_to_one.class_iou.size(); ++c) {
    const auto name = c < names.size() ? names[c] : std::to_string(c);
    html += "<tr><th scope=\"row\">" + slotcon::view::escape_html(name) + "</th>";
    for (const auto* row : shown) html += detail::share_cell(row->one_to_one.class_iou[c], false);
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

inline PageSection scores_section(const ReportedScores& scores) {
  auto html = scrolling(table_of_scores(scores.rows), "Scores of segmentation");
  html += "<h3>Protocol</h3>\n" + list_of(scores.protocol, "protocol");
  const auto classes = table_of_classes(scores.rows, scores.classes);
  if (!classes.empty()) {
    html += "<details><summary>IoU of each class</summary>\n" +
            scrolling(classes, "IoU of each class") + "</details>\n";
  }
  return {"scores", "Segmentation scores", html};
}

/// The slots' score, and the best of what needs no network to compare it with.
inline std::vector<KeyFigure> key_scores(const std::vector<ScoreRow>& rows) {
  const auto figure = [](const char* name, const ScoreRow& row) {
    return KeyFigure{name, slotcon::view::fixed_number(row.one_to_one.mean_iou, 3),
                     row.method + ", " + std::to_string(row.clusters) + " clusters"};
  };
  std::vector<KeyFigure> figures;
  if (!rows.empty() && detail::network_of(rows.front()) == "trained") {
    figures.push_back(figure("Hungarian mean IoU", rows.front()));
  }
  const ScoreRow* best = nullptr;
  for (const auto& row : rows) {
    const bool better = best == nullptr || row.one_to_one.mean_iou > best->one_to_one.mean_iou;
    if (detail::network_of(row).empty() && better) best = &row;
  }
  if (best != nullptr) figures.push_back(figure("Best without a network", *best));
  return figures;
}

}  // namespace examples
