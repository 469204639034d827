// The weights of a network out of whatever file they came in, and the backbone out of SlotCon's.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/io/detail/pickled_tensors.h>
#include <slotcon/io/detail/safetensors_header.h>
#include <slotcon/io/detail/tensors.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::io {

namespace detail {

inline std::size_t count_below(const std::string& prefix,
                               const std::vector<TensorRecord>& records) {
  return static_cast<std::size_t>(
      std::count_if(records.begin(), records.end(),
                    [&](const TensorRecord& record) { return record.name.rfind(prefix, 0) == 0; }));
}

/// Keeps the records whose names begin with `prefix`, which is taken off.
inline void keep_below(const std::string& prefix, std::vector<TensorRecord>& records) {
  const auto is_other = [&](const TensorRecord& record) {
    return record.name.rfind(prefix, 0) != 0;
  };
  records.erase(std::remove_if(records.begin(), records.end(), is_other), records.end());
  for (auto& record : records) record.name.erase(0, prefix.size());
}

/// The network's part of a checkpoint, without what DistributedDataParallel puts before the names.
inline std::vector<TensorRecord> network_records(ByteSource& file) {
  const bool is_pth = file.size() >= 2 && (file.read(0, 2) == "PK" || is_old_pth(file));
  const bool is_safetensors =
      file.size() > kHeaderLengthBytes && file.read(kHeaderLengthBytes, 1) == "{";
  if (!is_pth && !is_safetensors)
    throw std::runtime_error("it is neither a .pth nor a safetensors file");
  auto records = is_pth ? pth_records(file) : safetensors_records(file);
  for (const auto* part : {"model.", "state_dict."}) {
    if (count_below(part, records) == 0) continue;
    keep_below(part, records);
    break;
  }
  if (count_below("module.", records) == records.size()) keep_below("module.", records);
  return records;
}

}  // namespace detail

/// The weights of a network from a .pth or a safetensors file, told apart by their first bytes, or
/// from a checkpoint of `save_checkpoint`.
///
/// Of a checkpoint with a dictionary `model` or `state_dict` only that is read, the rest (an
/// optimiser's state, options) is passed over. "module." is taken off, if all names begin with it.
/// So a published SlotCon checkpoint gives "encoder_q.conv1.weight" ... "center", ready for
/// `load_module_state(*model, read_weights(file))`, which lists what is missing, left over or of
/// another shape.
/// Throws std::runtime_error as read_pth() and read_safetensors() do.
inline NamedTensors read_weights(const std::filesystem::path& file) {
  return detail::read_tensors("read_weights", file, detail::network_records);
}

/// The teacher's backbone out of the weights of SlotCon: what is called `encoder_k.*`, without that
/// prefix, so that a `ResNet` has torchvision's names. It is what is transferred to other tasks.
/// Throws c10::ValueError if there is none.
inline NamedTensors teacher_backbone(const NamedTensors& weights) {
  const std::string prefix = "encoder_k.";
  NamedTensors backbone;
  for (const auto& [name, tensor] : weights) {
    if (name.rfind(prefix, 0) == 0) backbone.insert(name.substr(prefix.size()), tensor);
  }
  TORCH_CHECK_VALUE(!backbone.empty(),
                    "teacher_backbone: expected weights of SlotCon, found none named encoder_k.*");
  return backbone;
}

}  // namespace slotcon::io
