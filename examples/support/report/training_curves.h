// The curves of a run: what it was trained for, and the diagnostics with what they mean.
#pragma once

#include <slotcon/view/line_chart.h>
#include <slotcon/view/number_text.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/report/page.h"
#include "support/training_history.h"

namespace examples {

/// A figure of the log as a chart.
struct Curve {
  std::string figure, title;
  std::string meaning;  ///< a sentence or two below the chart; may be empty
  bool smooth = true;   ///< the mean of neighbours in front of the figures
  bool logarithmic = false;
  bool from_zero = false;
  std::vector<slotcon::view::ReferenceLevel> references = {};
};

/// How many logged steps before and after each one its mean is over: a fiftieth of all.
inline std::size_t smoothing_of(const TrainingHistory& history) {
  return history.steps.size() / 50;
}

inline bool has_figure(const TrainingHistory& history, const std::string& figure) {
  const auto found = history.figures.find(figure);
  if (found == history.figures.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [](double value) { return std::isfinite(value); });
}

/// The last figure that is a number; NaN: there is none.
inline double last_of(const TrainingHistory& history, const std::string& figure) {
  if (!has_figure(history, figure)) return std::numeric_limits<double>::quiet_NaN();
  const auto& values = history.figures.at(figure);
  return *std::find_if(values.rbegin(), values.rend(), [](double v) { return std::isfinite(v); });
}

namespace detail {

/// "last 2.28, lowest 2.04, highest 3.68", of the figures as they were logged.
inline std::string values_of(const TrainingHistory& history, const std::string& figure) {
  slotcon::view::ValueRange range;
  for (const double value : history.figures.at(figure)) range.include(value);
  return "last " + slotcon::view::short_number(last_of(history, figure)) + ", lowest " +
         slotcon::view::short_number(range.low()) + ", highest " +
         slotcon::view::short_number(range.high());
}

inline std::string chart_of(const TrainingHistory& history, const Curve& curve) {
  const auto& values = history.figures.at(curve.figure);
  const auto half_width = curve.smooth ? smoothing_of(history) : 0;
  std::vector<slotcon::view::ChartLine> lines{{{history.steps, values}, half_width > 0}};
  if (half_width > 0) {
    lines.push_back({{history.steps, slotcon::view::running_mean(values, half_width)}});
  }
  slotcon::view::LineChartOptions options;
  options.description = curve.title + " over the steps: " + values_of(history, curve.figure);
  options.x_name = "step";
  options.logarithmic = curve.logarithmic;
  options.from_zero = curve.from_zero;
  options.references = curve.references;
  return slotcon::view::line_chart(lines, options);
}

}  // namespace detail

/// The chart with its title and its meaning; nothing where the log has no such figure.
inline std::string figure_of(const TrainingHistory& history, const Curve& curve) {
  if (!has_figure(history, curve.figure)) return "";
  auto html = "<figure class=\"card\"><h3>" + slotcon::view::escape_html(curve.title) + "</h3>\n" +
              paragraph(detail::values_of(history, curve.figure), "values") +
              detail::chart_of(history, curve);
  if (!curve.meaning.empty()) {
    html += "<figcaption>" + slotcon::view::escape_html(curve.meaning) + "</figcaption>";
  }
  return html + "</figure>\n";
}

inline std::string figures_of(const TrainingHistory& history, const std::vector<Curve>& curves) {
  std::string html = "<div class=\"charts\">\n";
  for (const auto& curve : curves) html += figure_of(history, curve);
  return html + "</div>\n";
}

/// ln K, the cross entropy of a student that knows nothing.
inline slotcon::view::ReferenceLevel level_of_ignorance(std::int64_t num_prototypes) {
  const double level = std::log(static_cast<double>(num_prototypes));
  return {level,
          "ln " + std::to_string(num_prototypes) + " = " + slotcon::view::fixed_number(level, 2)};
}

/// The curves of training with `num_prototypes` prototypes; the two that only some runs move are
/// there if this one did.
inline std::vector<Curve> training_curves(const TrainingHistory& history,
                                          std::int64_t num_prototypes) {
  std::vector<Curve> curves{
      {"loss", "Loss", "2 (w grouping + (1 - w) contrast), with w the grouping's weight."},
      {"cross_entropy",
       "Grouping",
       "Cross entropy of a position's assignment, mean of both directions. At ln K the student "
       "knows nothing yet; a plateau there in the first few hundred steps is part of the method.",
       true,
       false,
       false,
       {level_of_ignorance(num_prototypes)}},
      {"contrast", "Contrast",
       "InfoNCE of the slots, mean of both directions. It falls much faster than the grouping."},
      {"learning_rate", "Learning rate", "", false, false, true},
      {"gradient_norm", "Gradient norm",
       "Of all gradients together, before clipping. The scale is logarithmic.", true, true},
      {"teacher_momentum", "Teacher momentum",
       "What stays of the teacher at a step; it rises to 1.", false},
      {"image_wait", "Waiting for images",
       "Share of the time that steps waited for their images. Where it stays above a twentieth, "
       "more --num-workers make the run faster.",
       true, false, true}};
  const auto highest = [&](const char* figure) {
    slotcon::view::ValueRange range;
    range.include(0);
    if (!has_figure(history, figure)) return range.high();
    for (const double value : history.figures.at(figure)) range.include(value);
    return range.high();
  };
  if (highest("skipped_steps") > 0) {
    curves.push_back({"skipped_steps", "Skipped steps",
                      "So far: steps whose loss or gradient was not finite. They left no trace.",
                      false, false, true});
  }
  if (highest("loss_scale") > 1) {
    curves.push_back({"loss_scale", "Loss scale",
                      "Of float16: half after each overflow, twice after 2,000 good steps. The "
                      "scale is logarithmic.",
                      false, true});
  }
  return curves;
}

/// The diagnostics of docs/diagnostics.md. The entropy's gap to ln K is the distance to the line.
inline std::vector<Curve> diagnostic_curves(std::int64_t num_prototypes) {
  const double k = static_cast<double>(num_prototypes);
  return {
      {"active_slots", "Active slots of an image",
       "Slots that win a position of an image, mean. Healthy: a few to a few dozen, stable. Near "
       "1: one prototype takes everything (centring off, or centre momentum too high). Near "
       "min(K, positions): assignment still random.",
       true, false, true},
      {"teacher_entropy",
       "Teacher entropy",
       "Of a position's targets, in nats. Healthy: falls from its start, settles between 0 and "
       "ln K. Stays at ln K: the uniform collapse. 0 from the start, with a perplexity near 1: "
       "the one-hot collapse.",
       true,
       false,
       true,
       {level_of_ignorance(num_prototypes)}},
      {"prototype_perplexity",
       "Prototype perplexity",
       "How many prototypes share the positions. Healthy: near the number of kinds in the data. "
       "Falls towards 1: prototypes die.",
       true,
       false,
       true,
       {{k, "K = " + std::to_string(num_prototypes)}}},
      {"dead_prototypes",
       "Dead prototypes",
       "Win nothing in the whole batch. Healthy: some, when K is large. Most of K: K is too large "
       "for the data, or a collapse.",
       true,
       false,
       true,
       {{k, "K = " + std::to_string(num_prototypes)}}},
      {"center_norm", "Norm of the centre",
       "Healthy: small, moves slowly. Grows without end: the teacher's scores drift. 0 for ever: "
       "the centre is not updated.",
       true, false, true},
      {"disjoint_share", "Share of disjoint views",
       "Pairs of views that share nothing. Healthy: 0. Above 0: very long images; such pairs add "
       "the constant ln K to the loss and teach no grouping.",
       true, false, true}};
}

/// What the pale and the strong lines are; nothing where each chart has one line.
inline std::string legend_of_curves(const TrainingHistory& history) {
  const auto half_width = smoothing_of(history);
  if (half_width == 0) return "";
  return paragraph("Pale lines are the figures as they were logged, strong ones their mean over " +
                       slotcon::view::fixed_number(2.0 * half_width + 1, 0) +
                       " logged steps. Point at a chart to read it.",
                   "note");
}

inline PageSection training_section(const TrainingHistory& history, std::int64_t num_prototypes) {
  return {
      "training", "Training",
      legend_of_curves(history) + figures_of(history, training_curves(history, num_prototypes))};
}

inline PageSection diagnostics_section(const TrainingHistory& history,
                                       std::int64_t num_prototypes) {
  return {
      "diagnostics", "Diagnostics",
      paragraph("Figures of each batch that tell a healthy run from a collapsing one.", "note") +
          figures_of(history, diagnostic_curves(num_prototypes))};
}

/// The collapses that the run was warned of.
inline std::vector<PageWarning> warnings_in(const TrainingHistory& history) {
  std::vector<PageWarning> warnings;
  for (const auto& warning : history.warnings) {
    const auto step = slotcon::view::fixed_number(static_cast<double>(warning.step), 0);
    warnings.push_back(
        {"Warning: " + warning.name + " collapse by step " + step + ":", warning.advice + "."});
  }
  return warnings;
}

}  // namespace examples
