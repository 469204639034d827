// Tensors from the bytes of a file, and the bytes of tensors.
#pragma once

#include <c10/util/Exception.h>
#include <slotcon/core/named_tensors.h>
#include <slotcon/core/open_file.h>
#include <slotcon/io/detail/byte_source.h>
#include <slotcon/io/detail/element_type.h>
#include <slotcon/io/detail/tensor_record.h>
#include <slotcon/io/detail/utf8.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace slotcon::io::detail {

/// In the order of ElementType.
constexpr std::array<at::ScalarType, kElementFormats.size()> kScalarTypes{
    at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong,
    at::kInt,   at::kShort,  at::kChar, at::kByte,     at::kBool};

/// The tensor that lies among `elements`, contiguous: with the strides of a tensor of its sizes
/// also where they could be others (PyTorch calls sizes of 1 and 0 contiguous with any).
inline torch::Tensor in_order(const torch::Tensor& elements, const TensorRecord& record) {
  if (record.strides == contiguous_strides(record.sizes)) return elements.view(record.sizes);
  const auto tensor = torch::empty(record.sizes, elements.options());
  return tensor.copy_(elements.as_strided(record.sizes, record.strides));
}

/// Reads a tensor, contiguous. Throws std::runtime_error with the bare reason.
inline torch::Tensor read_tensor(ByteSource& file, const TensorRecord& record) {
  if (!record.refused.empty())
    throw std::runtime_error("its tensor '" + record.name + "' " + record.refused);
  const bool is_bool = record.type == ElementType::kBool;
  const auto type = kScalarTypes[static_cast<std::size_t>(record.type)];
  const auto elements = torch::empty({record.extent}, is_bool ? torch::kByte : type);
  file.read(record.begin, elements.mutable_data_ptr(), elements.nbytes());
  const auto tensor = in_order(elements, record);
  return is_bool ? tensor.ne(0) : tensor;  // a byte of 2 would be no bool at all
}

/// The tensors of a file by the records that `find_records(source)` gives, in their order. Throws
/// std::runtime_error, beginning with `who` and the file's name.
template <class FindRecords>
NamedTensors read_tensors(const std::string& who, const std::filesystem::path& path,
                          const FindRecords& find_records) {
  FileSource file(open_file(who, path.string()));
  try {
    NamedTensors tensors;
    for (const auto& record : find_records(file))
      tensors.insert(record.name, read_tensor(file, record));
    return tensors;
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(who + ": cannot read '" + path.string() + "': " + error.what());
  }
}

/// The type of a tensor's elements. Throws c10::ValueError unless the tensor is strided and of a
/// type that the formats have, and its name is UTF-8.
inline ElementType element_type(const std::string& who, const std::string& name,
                                const torch::Tensor& tensor) {
  TORCH_CHECK_VALUE(is_utf8(name), who, ": expected names in UTF-8, got '", name, "'");
  TORCH_CHECK_VALUE(tensor.defined() && tensor.layout() == at::kStrided, who, ": expected '", name,
                    "' to be a dense tensor, got ",
                    tensor.defined() ? c10::str(tensor.layout()) : "an undefined one");
  const auto found = std::find(kScalarTypes.begin(), kScalarTypes.end(), tensor.scalar_type());
  TORCH_CHECK_VALUE(found != kScalarTypes.end(), who, ": '", name, "' ",
                    refused_elements(c10::toString(tensor.scalar_type())));
  return static_cast<ElementType>(found - kScalarTypes.begin());
}

/// A tensor's elements one after the other, in memory of the CPU.
inline torch::Tensor plain(const torch::Tensor& tensor) {
  return tensor.detach().resolve_neg().cpu().contiguous();
}

/// The bytes of a plain tensor, which must outlive them.
inline std::string_view bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

}  // namespace slotcon::io::detail
