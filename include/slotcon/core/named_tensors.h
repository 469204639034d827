// Tensors by name, in the order in which they came.
#pragma once

#include <c10/util/Exception.h>
#include <torch/types.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace slotcon {

/// Tensors by unique names, in the order of insertion. Otherwise it is used as a std::map: entries
/// are pairs `first`, the name, and `second`, the tensor.
class NamedTensors {
 public:
  using Entry = std::pair<std::string, torch::Tensor>;
  using const_iterator = std::vector<Entry>::const_iterator;

  NamedTensors() = default;
  /// Throws c10::ValueError when a name comes twice.
  NamedTensors(std::initializer_list<Entry> entries) {
    for (const auto& [name, tensor] : entries) insert(name, tensor);
  }

  /// Puts a tensor at the end. Throws c10::ValueError when there is one of that name.
  void insert(const std::string& name, torch::Tensor tensor) {
    TORCH_CHECK_VALUE(count(name) == 0, "NamedTensors: expected unique names, got '", name,
                      "' twice");
    (*this)[name] = std::move(tensor);
  }

  /// The tensor of that name; where there is none an undefined one, which is put at the end.
  torch::Tensor& operator[](const std::string& name) {
    const auto [place, is_new] = places_.try_emplace(name, entries_.size());
    if (is_new) entries_.emplace_back(name, torch::Tensor());
    return entries_[place->second].second;
  }

  /// Throws c10::ValueError when there is none of that name.
  const torch::Tensor& at(const std::string& name) const {
    const auto found = find(name);
    TORCH_CHECK_VALUE(found != end(), "NamedTensors: expected a tensor '", name, "', found none");
    return found->second;
  }

  /// Takes a tensor out, if there is one of that name.
  void erase(const std::string& name) {
    const auto found = find(name);
    if (found == end()) return;
    entries_.erase(found);
    places_.clear();
    for (std::size_t i = 0; i < entries_.size(); ++i) places_[entries_[i].first] = i;
  }

  const_iterator find(const std::string& name) const {
    const auto place = places_.find(name);
    return place == places_.end() ? end() : begin() + static_cast<std::ptrdiff_t>(place->second);
  }
  std::size_t count(const std::string& name) const { return places_.count(name); }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace slotcon
