// The tensors of a safetensors file: names and places, without their bytes.
#pragma once

#include <slotcon/io/detail/byte_source.h>
#include <slotcon/io/detail/json_cursor.h>
#include <slotcon/io/detail/tensor_record.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace slotcon::io::detail {

/// The first eight bytes: the length of the header.
constexpr std::uint64_t kHeaderLengthBytes = 8;

/// Reads the header of a safetensors file.
///
/// The tensors' bytes must follow each other from the header to the end of the file, without gaps
/// and overlaps, as the format demands. `__metadata__` is passed over. Throws std::runtime_error
/// with the bare reason.
class SafetensorsHeader {
 public:
  explicit SafetensorsHeader(ByteSource& file) : file_(file) {}

  std::vector<TensorRecord> records() {
    const auto text = header();
    JsonCursor json(text);
    json.object([&](const std::string& name) {
      if (!names_.insert(name).second) fail("it has two entries of the name '" + name + "'");
      if (name == "__metadata__") {
        json.object([&](const std::string&) { json.string(); });
      } else {
        read_tensor(json, name);
      }
    });
    if (!json.at_end()) json.fail("the end");
    check_places();
    return std::move(records_);
  }

 private:
  [[noreturn]] static void fail(const std::string& reason) { throw std::runtime_error(reason); }

  std::string header() {
    std::uint64_t length = 0;
    file_.read(0, &length, sizeof length);
    if (length > file_.size() - kHeaderLengthBytes)
      fail("its header is said to have " + std::to_string(length) + " bytes, the whole file has " +
           std::to_string(file_.size()));
    data_ = kHeaderLengthBytes + length;
    return file_.read(kHeaderLengthBytes, length);
  }

  void read_tensor(JsonCursor& json, const std::string& name) {
    TensorRecord record;
    record.name = name;
    std::string dtype;
    Sizes places;
    const auto integers = [&](Sizes& numbers) {
      json.array([&] { numbers.push_back(json.integer()); });
    };
    std::unordered_set<std::string> keys;
    json.object([&](const std::string& key) {
      if (!keys.insert(key).second) fail("its tensor '" + name + "' has two entries " + key);
      if (key == "dtype") {
        dtype = json.string();
      } else if (key == "shape") {
        integers(record.sizes);
      } else if (key == "data_offsets") {
        integers(places);
      } else {
        json.fail("dtype, shape or data_offsets");
      }
    });
    if (keys.size() != 3) fail("its tensor '" + name + "' lacks dtype, shape or data_offsets");
    add(std::move(record), dtype, places);
  }

  void add(TensorRecord record, const std::string& dtype, const Sizes& places) {
    const auto& name = record.name;
    if (places.size() != 2 || places[0] > places[1]) fail("its tensor '" + name + "' has no place");
    const auto size = static_cast<std::uint64_t>(places[1] - places[0]);
    extents_.emplace_back(places[0], places[1]);
    record.begin = data_ + static_cast<std::uint64_t>(places[0]);
    if (const auto type = find_element_type(&ElementFormat::safetensors, dtype)) {
      record.type = *type;
      const auto count = static_cast<std::uint64_t>(element_count(name, record.sizes));
      const auto bytes = static_cast<std::uint64_t>(format_of(*type).bytes);
      if (size % bytes != 0 || size / bytes != count)
        fail("its tensor '" + name + "' has " + std::to_string(size) +
             " bytes, its shape says another number");
      record.strides = contiguous_strides(record.sizes);
      record.extent = element_count(name, record.sizes);
    } else {
      record.refused = refused_elements(dtype);
    }
    records_.push_back(std::move(record));
  }

  void check_places() {
    std::sort(extents_.begin(), extents_.end());
    std::uint64_t reached = 0;
    for (const auto& [begin, end] : extents_) {
      if (begin != reached) fail("its tensors overlap or leave gaps");
      reached = end;
    }
    if (reached != file_.size() - data_)
      fail("its tensors have " + std::to_string(reached) + " bytes, after the header there are " +
           std::to_string(file_.size() - data_));
  }

  ByteSource& file_;
  std::uint64_t data_ = 0;  ///< where the header ends
  std::vector<TensorRecord> records_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents_;  ///< after the header
  std::unordered_set<std::string> names_;
};

/// The tensors of a safetensors file. Throws std::runtime_error with the bare reason.
inline std::vector<TensorRecord> safetensors_records(ByteSource& file) {
  return SafetensorsHeader(file).records();
}

}  // namespace slotcon::io::detail
