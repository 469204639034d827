// The parts of a safetensors file: a header, then the bytes of the tensors.
#pragma once

#include <slotcon/core/named_tensors.h>
#include <slotcon/io/detail/append_number.h>
#include <slotcon/io/detail/element_type.h>
#include <slotcon/io/detail/tensors.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace slotcon::io::detail {

inline std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    char escaped[8];
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

/// Where the tensors go: the header names them in their order, while their bytes are sorted by the
/// width of their elements, widest first, so that each begins at a multiple of its own.
class SafetensorsLayout {
 public:
  /// Refers to `tensors` for as long as it lives. Throws c10::ValueError for tensors that the
  /// format does not have.
  explicit SafetensorsLayout(const NamedTensors& tensors) : tensors_(tensors) {
    for (const auto& [name, tensor] : tensors) {
      TORCH_CHECK_VALUE(name != "__metadata__",
                        "write_safetensors: expected names of tensors, got '__metadata__', which "
                        "the format keeps for itself");
      formats_.push_back(&format_of(element_type("write_safetensors", name, tensor)));
    }
    order_.resize(tensors.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return formats_[a]->bytes > formats_[b]->bytes;
    });
  }

  void write(std::ostream& out) const {
    const auto text = header();
    std::string length;
    append_number<std::uint64_t>(length, text.size());
    out << length << text;
    for (const auto i : order_) out << bytes_of(plain(tensor(i)));
  }

 private:
  const torch::Tensor& tensor(std::size_t i) const { return (tensors_.begin() + i)->second; }

  std::string header() const {
    std::vector<std::int64_t> begins(order_.size());
    std::int64_t end = 0;
    for (const auto i : order_) {
      begins[i] = end;
      end += tensor(i).numel() * formats_[i]->bytes;
    }
    std::string text = "{";
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const auto& [name, tensor] = *(tensors_.begin() + i);
      if (i > 0) text += ',';
      text += json_string(name) + ":{\"dtype\":" + json_string(formats_[i]->safetensors) +
              ",\"shape\":" + json_array(tensor.sizes()) + ",\"data_offsets\":" +
              json_array({begins[i], begins[i] + tensor.numel() * formats_[i]->bytes}) + '}';
    }
    text += '}';
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  }

  static std::string json_array(at::IntArrayRef numbers) {
    std::string text = "[";
    for (std::size_t i = 0; i < numbers.size(); ++i)
      text += (i > 0 ? "," : "") + std::to_string(numbers[i]);
    return text + ']';
  }

  const NamedTensors& tensors_;
  std::vector<const ElementFormat*> formats_;
  std::vector<std::size_t> order_;  ///< of the bytes
};

}  // namespace slotcon::io::detail
