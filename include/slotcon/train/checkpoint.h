// A training run in one file, from which it goes on exactly.
#pragma once

#include <slotcon/train/module_state.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace slotcon {

/// What a run needs to go on. The order of the data follows from the options and the step.
struct Checkpoint {
  std::string options;  ///< how the run was set up, as the trainer writes it (JSON in the examples)
  std::int64_t step = 0;    ///< optimiser steps done
  NamedTensors model;       ///< see `module_state`
  torch::Tensor optimizer;  ///< see `optimizer_state`
};

/// An optimiser's state as bytes [n] uint8.
inline torch::Tensor optimizer_state(const torch::optim::Optimizer& optimizer) {
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream out;
  archive.save_to(out);
  const auto bytes = out.str();
  auto state = torch::empty({static_cast<std::int64_t>(bytes.size())}, torch::kByte);
  std::memcpy(state.mutable_data_ptr(), bytes.data(), bytes.size());
  return state;
}

/// Restores what `optimizer_state` gave, for the same kind of optimiser over the same parameters.
inline void load_optimizer_state(torch::optim::Optimizer& optimizer, const torch::Tensor& state) {
  std::istringstream in(
      std::string(static_cast<const char*>(state.const_data_ptr()), state.nbytes()));
  torch::serialize::InputArchive archive;
  archive.load_from(in);
  optimizer.load(archive);
}

namespace detail {

constexpr auto kCheckpointFormat = "slotcon checkpoint 1";

inline torch::IValue to_ivalue(const Checkpoint& checkpoint) {
  c10::Dict<std::string, torch::Tensor> model;
  for (const auto& [name, tensor] : checkpoint.model) model.insert(name, tensor);
  c10::impl::GenericDict file(c10::StringType::get(), c10::AnyType::get());
  file.insert("format", kCheckpointFormat);
  file.insert("options", checkpoint.options);
  file.insert("step", checkpoint.step);
  file.insert("model", model);
  file.insert("optimizer", checkpoint.optimizer);
  return file;
}

inline Checkpoint from_ivalue(const torch::IValue& value) {
  const auto file = value.toGenericDict();
  TORCH_CHECK(file.at("format").toStringRef() == kCheckpointFormat, "unknown format");
  Checkpoint checkpoint;
  checkpoint.options = file.at("options").toStringRef();
  checkpoint.step = file.at("step").toInt();
  for (const auto& entry : file.at("model").toGenericDict()) {
    checkpoint.model[entry.key().toStringRef()] = entry.value().toTensor();
  }
  checkpoint.optimizer = file.at("optimizer").toTensor();
  return checkpoint;
}

}  // namespace detail

/// Writes a checkpoint; the file appears whole or not at all, and an older one stays until then.
/// Throws std::runtime_error, naming the file, when it cannot be written.
inline void save_checkpoint(const std::filesystem::path& file, const Checkpoint& checkpoint) {
  const auto bytes = torch::jit::pickle_save(detail::to_ivalue(checkpoint));
  auto unfinished = file;
  unfinished += ".part";
  std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(unfinished, file, error);
  if (!out || error) {
    throw std::runtime_error("save_checkpoint: cannot write '" + file.string() + "'" +
                             (error ? ": " + error.message() : ""));
  }
}

/// Reads what `save_checkpoint` wrote.
/// Throws std::runtime_error, naming the file, when there is none or it is something else or
/// damaged.
inline Checkpoint load_checkpoint(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    throw std::runtime_error("load_checkpoint: cannot open '" + file.string() + "'");
  }
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  try {
    return detail::from_ivalue(torch::jit::pickle_load(bytes));
  } catch (const std::exception&) {
    throw std::runtime_error("load_checkpoint: '" + file.string() +
                             "' is damaged or not a slotcon checkpoint");
  }
}

}  // namespace slotcon
