// Weights as .pth files: what Python's torch.save writes and torch.load reads.
#pragma once

#include <slotcon/core/durable_file.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/io/detail/pickle_writer.h>
#include <slotcon/io/detail/pickled_tensors.h>
#include <slotcon/io/detail/tensors.h>
#include <slotcon/io/detail/zip_writer.h>

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace slotcon::io {

namespace detail {

/// Puts on the stack the tensor whose bytes are in the entry data/`key`.
inline void pickle_tensor(PickleWriter& pickle, const torch::Tensor& tensor, ElementType type,
                          std::size_t key) {
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.mark();
  pickle.mark();
  pickle.text("storage");
  pickle.global("torch", format_of(type).storage);
  pickle.text(std::to_string(key));
  pickle.text("cpu");
  pickle.integer(tensor.numel());
  pickle.tuple();
  pickle.reference();
  pickle.integer(0);  // offset
  pickle.integers(tensor.sizes());
  pickle.integers(contiguous_strides(tensor.sizes().vec()));
  pickle.boolean(false);  // requires no gradient
  pickle.global("collections", "OrderedDict");
  pickle.mark();
  pickle.tuple();
  pickle.call();  // no hooks
  pickle.tuple();
  pickle.call();
}

/// {name: tensor, ...}, or {key: {name: tensor, ...}} unless `key` is empty.
inline std::string pickled_dictionary(const NamedTensors& tensors, const std::string& key) {
  std::ostringstream out;
  PickleWriter pickle(out, /*protocol=*/2);
  pickle.dictionary();
  if (!key.empty()) {
    pickle.mark();
    pickle.text(key);
    pickle.dictionary();
  }
  pickle.mark();
  std::size_t index = 0;
  for (const auto& [name, tensor] : tensors) {
    pickle.text(name);
    pickle_tensor(pickle, tensor, element_type("write_pth", name, tensor), index++);
  }
  pickle.items();
  if (!key.empty()) pickle.items();
  pickle.end();
  return out.str();
}

}  // namespace detail

/// The tensors of a .pth file, in the order of its dictionaries, contiguous, bit by bit.
///
/// A tensor is named by the keys and list indices on the way to it, with points between:
/// `torch.save({"model": {"fc.weight": w}})` gives "model.fc.weight". What else is in the file
/// (numbers, text, an argparse.Namespace, any other object) is passed over; nothing in it is
/// executed. Tensors that share memory in Python do not here.
/// Element types: float16, 32 and 64, bfloat16, int8 to int64, uint8, bool.
/// The file may come from anybody: everything in it is checked before memory is taken for it. The
/// tensors together have at most eight times the bytes of the file, and what else is needed is at
/// most a hundred times those of the pickle that describes them.
/// Throws std::runtime_error, naming the file and the reason, when there is none, when it is
/// damaged or something else (also the format from before PyTorch 1.6), or when it holds a tensor
/// of another kind.
inline NamedTensors read_pth(const std::filesystem::path& file) {
  return detail::read_tensors("read_pth", file, detail::pth_records);
}

/// Writes tensors, of any device and strides, as `torch.save` writes a dictionary of them in their
/// order: {name: tensor}, or {key: {name: tensor}} unless `key` is empty. The file appears whole or
/// not at all. Python: `torch.load(file, weights_only=True)`.
///
/// Throws c10::ValueError for a tensor that is not dense or has elements of another type than
/// read_pth() lists, std::runtime_error, naming the file, when it cannot be written.
inline void write_pth(const std::filesystem::path& file, const NamedTensors& tensors,
                      const std::string& key = "") {
  const auto pickle = detail::pickled_dictionary(tensors, key);
  write_durably("write_pth", file, [&](std::ostream& out) {
    detail::ZipWriter zip(out);
    zip.add("archive/data.pkl", pickle);
    zip.add("archive/byteorder", "little");
    std::size_t index = 0;
    for (const auto& [name, tensor] : tensors) {
      const auto elements = detail::plain(tensor);
      zip.add("archive/data/" + std::to_string(index++), detail::bytes_of(elements));
    }
    zip.add("archive/version", "3\n");
    zip.finish();
  });
}

}  // namespace slotcon::io
