// Which class of a benchmark each label of its files belongs to.
#pragma once

#include <slotcon/data/image.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

/// The label that no class has: its positions are not scored.
constexpr std::uint8_t kUnscored = 255;

/// The classes that a benchmark scores, and the labels that its files hold for them.
struct LabelScheme {
  std::string name;                              ///< of the scheme, as a table of scores prints it
  std::vector<std::string> classes;              ///< names, in the order of their numbers
  std::array<std::uint8_t, 256> class_of_label;  ///< `kUnscored` for a label outside of it

  /// Classes without a label yet.
  LabelScheme(std::string scheme_name, std::vector<std::string> class_names)
      : name(std::move(scheme_name)), classes(std::move(class_names)) {
    class_of_label.fill(kUnscored);
  }

  /// The map with the number of its class for each label.
  LabelMap apply(LabelMap map) const {
    for (auto& label : map.labels) label = class_of_label[label];
    return map;
  }
};

}  // namespace slotcon::data
