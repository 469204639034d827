// A training run in one file, from which it goes on exactly.
#pragma once

#include <slotcon/core/durable_file.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/train/module_state.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>
#include <torch/types.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon {

/// What a run needs to go on to the same bits. Its place in the schedules and in the order of the
/// data follows from the options and the step; the centre is one of the model's buffers.
struct Checkpoint {
  std::string options;  ///< how the run was set up, as the trainer writes it (JSON in the examples)
  std::int64_t step = 0;         ///< optimiser steps done, those that were skipped included
  NamedTensors model = {};       ///< see `module_state`
  torch::Tensor optimizer = {};  ///< see `optimizer_state`
  NamedTensors random = {};      ///< see `random_state`
  std::string progress = {};  ///< what else the trainer carries from step to step, as it writes it
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

constexpr auto kCheckpointFormat = "slotcon checkpoint 2";

inline torch::IValue to_ivalue(const NamedTensors& tensors) {
  c10::Dict<std::string, torch::Tensor> dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
  return dict;
}

inline NamedTensors to_named_tensors(const torch::IValue& value) {
  NamedTensors tensors;
  for (const auto& entry : value.toGenericDict()) {
    tensors[entry.key().toStringRef()] = entry.value().toTensor();
  }
  return tensors;
}

inline torch::IValue to_ivalue(const Checkpoint& checkpoint) {
  c10::impl::GenericDict file(c10::StringType::get(), c10::AnyType::get());
  file.insert("format", kCheckpointFormat);
  file.insert("options", checkpoint.options);
  file.insert("step", checkpoint.step);
  file.insert("model", to_ivalue(checkpoint.model));
  file.insert("optimizer", checkpoint.optimizer);
  file.insert("random", to_ivalue(checkpoint.random));
  file.insert("progress", checkpoint.progress);
  return file;
}

inline Checkpoint to_checkpoint(const torch::IValue& value) {
  const auto file = value.toGenericDict();
  const auto& format = file.at("format").toStringRef();
  TORCH_CHECK_VALUE(format == kCheckpointFormat, "is a '", format, "', not a '", kCheckpointFormat,
                    "'");
  Checkpoint checkpoint;
  checkpoint.options = file.at("options").toStringRef();
  checkpoint.step = file.at("step").toInt();
  checkpoint.model = to_named_tensors(file.at("model"));
  checkpoint.optimizer = file.at("optimizer").toTensor();
  checkpoint.random = to_named_tensors(file.at("random"));
  checkpoint.progress = file.at("progress").toStringRef();
  return checkpoint;
}

}  // namespace detail

/// Writes a checkpoint as `write_durably` does: whole or not at all, whatever happens meanwhile.
/// Throws std::runtime_error, naming the file and the reason, when it cannot be written.
inline void save_checkpoint(const std::filesystem::path& file, const Checkpoint& checkpoint) {
  const auto bytes = torch::jit::pickle_save(detail::to_ivalue(checkpoint));
  write_durably("save_checkpoint", file, [&](std::ostream& out) {
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  });
}

/// Reads what `save_checkpoint` wrote.
/// Throws std::runtime_error, naming the file, when there is none or it is damaged, something else
/// or of another version.
inline Checkpoint load_checkpoint(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    throw std::runtime_error("load_checkpoint: cannot open '" + file.string() + "'");
  }
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  try {
    return detail::to_checkpoint(torch::jit::pickle_load(bytes));
  } catch (const c10::ValueError& other_version) {
    throw std::runtime_error("load_checkpoint: '" + file.string() + "' " +
                             other_version.what_without_backtrace());
  } catch (const std::exception&) {
    throw std::runtime_error("load_checkpoint: '" + file.string() +
                             "' is damaged or not a slotcon checkpoint");
  }
}

}  // namespace slotcon
