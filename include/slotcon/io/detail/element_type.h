// The element types that the formats share, and how each calls them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slotcon::io::detail {

enum class ElementType {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool
};

struct ElementFormat {
  std::int64_t bytes;
  std::string_view storage;      ///< the class that torch.save names, of the module torch
  std::string_view safetensors;  ///< `dtype` in a safetensors header
  std::string_view numpy;        ///< type string of numpy; empty if it has none
};

/// In the order of ElementType.
constexpr std::array<ElementFormat, 10> kElementFormats{{{4, "FloatStorage", "F32", "f4"},
                                                         {8, "DoubleStorage", "F64", "f8"},
                                                         {2, "HalfStorage", "F16", "f2"},
                                                         {2, "BFloat16Storage", "BF16", ""},
                                                         {8, "LongStorage", "I64", "i8"},
                                                         {4, "IntStorage", "I32", "i4"},
                                                         {2, "ShortStorage", "I16", "i2"},
                                                         {1, "CharStorage", "I8", "i1"},
                                                         {1, "ByteStorage", "U8", "u1"},
                                                         {1, "BoolStorage", "BOOL", "b1"}}};

constexpr const ElementFormat& format_of(ElementType type) {
  return kElementFormats[static_cast<std::size_t>(type)];
}

/// The type whose `name` in a format is `wanted`.
inline std::optional<ElementType> find_element_type(std::string_view ElementFormat::*name,
                                                    std::string_view wanted) {
  for (std::size_t i = 0; i < kElementFormats.size(); ++i) {
    if (kElementFormats[i].*name == wanted) return static_cast<ElementType>(i);
  }
  return std::nullopt;
}

/// Why a tensor of other elements is not read.
inline std::string refused_elements(std::string_view name) {
  return "has elements of type " + std::string(name) +
         ", expected float16, 32 or 64, bfloat16, int8 to 64, uint8 or bool";
}

}  // namespace slotcon::io::detail
