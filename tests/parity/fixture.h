// A fixture: named tensors that the published code read and produced.
#pragma once

#include <slotcon/io/pth.h>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>

namespace slotcon::parity {

class Fixture {
 public:
  explicit Fixture(const std::filesystem::path& file)
      : name_(file.stem().string()), tensors_(io::read_pth(file)) {}

  const std::string& name() const { return name_; }

  torch::Tensor operator[](const std::string& key) const {
    const auto found = tensors_.find(key);
    TORCH_CHECK(found != tensors_.end(), name_, ": expected an entry '", key, "', found none");
    return found->second.clone();
  }

  double number(const std::string& key) const { return (*this)[key].item<double>(); }
  std::int64_t integer(const std::string& key) const { return (*this)[key].item().toLong(); }

  /// The entries below `prefix`, with the prefix taken off.
  std::map<std::string, torch::Tensor> below(const std::string& prefix) const {
    std::map<std::string, torch::Tensor> found;
    for (const auto& [key, tensor] : tensors_) {
      if (key.rfind(prefix, 0) == 0) found.emplace(key.substr(prefix.size()), tensor);
    }
    return found;
  }

 private:
  std::string name_;
  NamedTensors tensors_;
};

}  // namespace slotcon::parity
