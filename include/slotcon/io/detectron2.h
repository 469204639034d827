// A backbone for Detectron2: its names, in the pickle that it reads.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/core/durable_file.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/io/detail/pickle_writer.h>
#include <slotcon/io/detail/tensors.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>

namespace slotcon::io {

namespace detail {

/// torchvision's "layer1.0.bn2.weight" as "res2.0.conv2.norm.weight". Throws c10::ValueError for
/// what is in no ResNet 18 to 152 of torchvision.
inline std::string detectron2_name(std::string name) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    const auto place = name.find(from);
    if (place != std::string::npos) name.replace(place, from.size(), to);
  };
  const bool in_stage = name.size() > 6 && name.rfind("layer", 0) == 0 && name[6] == '.' &&
                        name[5] >= '1' && name[5] <= '4';
  const bool in_stem = name == "conv1.weight" || name.rfind("bn1.", 0) == 0;
  TORCH_CHECK_VALUE(in_stage || in_stem,
                    "write_detectron2: expected the names of torchvision's ResNet, got '", name,
                    "'");
  if (in_stage) {
    name = "res" + std::to_string(name[5] - '0' + 1) + name.substr(6);
  } else {
    name = "stem." + name;
  }
  replace("bn1", "conv1.norm");
  replace("bn2", "conv2.norm");
  replace("bn3", "conv3.norm");
  replace("downsample.0", "shortcut");
  replace("downsample.1", "shortcut.norm");
  return name;
}

/// Puts a numpy type on the stack.
inline void pickle_dtype(PickleWriter& pickle, std::string_view type) {
  pickle.global("numpy", "dtype");
  pickle.mark();
  pickle.text(type);
  pickle.boolean(false);
  pickle.boolean(true);
  pickle.tuple();
  pickle.call();
  pickle.mark();
  pickle.integer(3);  // version
  pickle.text(type.back() == '1' ? "|" : "<");
  for (int i = 0; i < 3; ++i) pickle.none();
  pickle.integer(-1);
  pickle.integer(-1);
  pickle.integer(0);
  pickle.tuple();
  pickle.state();
}

/// Puts a numpy array of the tensor's elements on the stack.
inline void pickle_array(PickleWriter& pickle, const torch::Tensor& tensor, std::string_view type) {
  pickle.global("numpy.core.multiarray", "_reconstruct");
  pickle.mark();
  pickle.global("numpy", "ndarray");
  pickle.integers(at::IntArrayRef{0});
  pickle.bytes("b");
  pickle.tuple();
  pickle.call();
  pickle.mark();
  pickle.integer(1);  // version
  pickle.integers(tensor.sizes());
  pickle_dtype(pickle, type);
  pickle.boolean(false);  // rows first
  pickle.bytes(bytes_of(plain(tensor)));
  pickle.tuple();
  pickle.state();
}

/// The numpy type of a tensor's elements. Throws c10::ValueError if there is none.
inline std::string_view numpy_type(const std::string& name, const torch::Tensor& tensor) {
  const auto type = format_of(element_type("write_detectron2", name, tensor)).numpy;
  TORCH_CHECK_VALUE(!type.empty(), "write_detectron2: '", name, "' has elements of type ",
                    tensor.scalar_type(), ", which numpy does not have");
  return type;
}

inline void pickle_backbone(std::ostream& out, const NamedTensors& backbone) {
  PickleWriter pickle(out, /*protocol=*/4);
  pickle.dictionary();
  pickle.mark();
  pickle.text("model");
  pickle.dictionary();
  pickle.mark();
  for (const auto& [name, tensor] : backbone) {
    pickle.text(detectron2_name(name));
    pickle_array(pickle, tensor, numpy_type(name, tensor));
  }
  pickle.items();
  pickle.text("__author__");
  pickle.text("slotcon");
  pickle.text("matching_heuristics");
  pickle.boolean(true);
  pickle.items();
  pickle.end();
}

}  // namespace detail

/// Writes a backbone under torchvision's names, as `teacher_backbone` gives it, for Detectron2:
/// a pickle (.pkl) of {"model": {name: numpy array}, "__author__", "matching_heuristics": True}.
///
/// `conv1`, `bn1` become `stem.conv1`, `stem.conv1.norm`; `layer1` ... `layer4` become `res2` ...
/// `res5`; `bn1` of a block becomes `conv1.norm`; `downsample.0`, `.1` become `shortcut`,
/// `shortcut.norm`. In a Detectron2 configuration: MODEL.WEIGHTS, with RESNETS.STRIDE_IN_1X1 false.
/// The file appears whole or not at all.
/// Throws c10::ValueError for names that torchvision's ResNet does not have and for bfloat16,
/// std::runtime_error, naming the file, when it cannot be written.
inline void write_detectron2(const std::filesystem::path& file, const NamedTensors& backbone) {
  for (const auto& [name, tensor] : backbone) {
    detail::detectron2_name(name);
    detail::numpy_type(name, tensor);
  }
  write_durably("write_detectron2", file,
                [&](std::ostream& out) { detail::pickle_backbone(out, backbone); });
}

}  // namespace slotcon::io
