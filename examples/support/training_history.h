// The log of a run, read again.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace examples {

struct LoggedWarning {
  std::int64_t step;
  std::string name, advice;
};

/// What a run logged, a list for each figure.
struct TrainingHistory {
  std::vector<double> steps;                           ///< ascending
  std::map<std::string, std::vector<double>> figures;  ///< as many as steps; NaN: none was logged
  std::vector<LoggedWarning> warnings;
};

namespace detail {

/// Adds the numbers of a line of figures; those that it lacks stay NaN.
inline void add_figures(const nlohmann::json& line, TrainingHistory& history) {
  const auto nothing = std::numeric_limits<double>::quiet_NaN();
  history.steps.push_back(line.at("step").get<double>());
  for (const auto& [name, value] : line.items()) {
    if (!value.is_number() || name == "step") continue;
    auto& figure = history.figures[name];
    figure.resize(history.steps.size(), nothing);
    figure.back() = value.get<double>();
  }
  for (auto& [name, figure] : history.figures) figure.resize(history.steps.size(), nothing);
}

inline std::string text_of(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace detail

/// Reads a log.jsonl; nothing if there is no such file.
///
/// Of any log: lines that are not whole (a run that is killed leaves one), have no step, or go back
/// to a step that was there before are left out.
inline TrainingHistory read_training_history(const std::filesystem::path& file) {
  TrainingHistory history;
  std::ifstream in(file);
  for (std::string text; std::getline(in, text);) {
    const auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("step") || !line.at("step").is_number()) continue;
    if (line.contains("warning")) {
      history.warnings.push_back({line.at("step").get<std::int64_t>(),
                                  detail::text_of(line, "warning"),
                                  detail::text_of(line, "advice")});
    } else if (history.steps.empty() || line.at("step").get<double>() > history.steps.back()) {
      detail::add_figures(line, history);
    }
  }
  return history;
}

}  // namespace examples
