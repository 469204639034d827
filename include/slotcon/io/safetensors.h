// Weights as safetensors files, which Python's safetensors reads and writes.
#pragma once

#include <slotcon/core/durable_file.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/io/detail/safetensors_header.h>
#include <slotcon/io/detail/safetensors_writer.h>
#include <slotcon/io/detail/tensors.h>

#include <filesystem>
#include <ostream>

namespace slotcon::io {

/// The tensors of a safetensors file, in the order of its header, contiguous, bit by bit.
///
/// Element types: float16, 32 and 64, bfloat16, int8 to int64, uint8, bool. Metadata is passed
/// over.
/// The file may come from anybody: everything in it is checked before memory is taken for it. The
/// tensors have no more bytes than the file, and what else is needed is a small multiple of those
/// of its header. Throws std::runtime_error, naming the file and the reason, when there is none,
/// when it is damaged or something else, or when a tensor has elements of another type.
inline NamedTensors read_safetensors(const std::filesystem::path& file) {
  return detail::read_tensors("read_safetensors", file, detail::safetensors_records);
}

/// Writes tensors, of any device and strides, as a safetensors file that names them in their order.
/// The file appears as by `write_durably`. Python: `safetensors.torch.load_file(file)`.
///
/// Throws c10::ValueError for a tensor that is not dense or has elements of another type than
/// read_safetensors() lists, std::runtime_error, naming the file, when it cannot be written.
inline void write_safetensors(const std::filesystem::path& file, const NamedTensors& tensors) {
  const detail::SafetensorsLayout layout(tensors);
  write_durably("write_safetensors", file, [&](std::ostream& out) { layout.write(out); });
}

}  // namespace slotcon::io
