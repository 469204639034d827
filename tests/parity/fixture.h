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
  Fixture(const std::filesystem::path& file, c10::Device device)
      : name_(file.stem().string()), device_(device) {
    for (const auto& [key, tensor] : io::read_pth(file)) tensors_.insert(key, tensor.to(device));
  }

  const std::string& name() const { return name_; }
  c10::Device device() const { return device_; }  ///< where the tensors are

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
  c10::Device device_;
  NamedTensors tensors_;
};

}  // namespace slotcon::parity
