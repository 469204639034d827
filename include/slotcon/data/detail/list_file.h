// Text files that list images.
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data::detail {

/// The lines of a list without what stands around them; blank ones and those that start with # are
/// skipped. Throws std::runtime_error in the name of `who` if there are none.
inline std::vector<std::string> lines_of_list(const std::string& who, const std::string& list) {
  std::ifstream file(list);
  if (!file) throw std::runtime_error(who + ": cannot open the list '" + list + "'");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    const auto last = line.find_last_not_of(" \t\r");
    lines.push_back(line.substr(first, last - first + 1));
  }
  if (lines.empty()) {
    throw std::runtime_error(who + ": expected one path a line in the list '" + list +
                             "', found none");
  }
  return lines;
}

}  // namespace slotcon::data::detail
