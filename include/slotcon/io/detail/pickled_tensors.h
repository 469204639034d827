// The tensors of a .pth file: names and places, without their bytes.
#pragma once

#include <slotcon/io/detail/byte_source.h>
#include <slotcon/io/detail/pickle_machine.h>
#include <slotcon/io/detail/pickle_value.h>
#include <slotcon/io/detail/tensor_record.h>
#include <slotcon/io/detail/zip_directory.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace slotcon::io::detail {

/// Walks through dictionaries, lists and tuples and notes the tensors in them.
///
/// A tensor's name is made of the keys on the way to it, with points between: "model.fc.weight",
/// "optimizer.state.0.momentum_buffer". What else there is, is passed over.
class PickledTensors {
 public:
  /// The tensors' bytes are the entries `folder`data/<key>; `pickle_size` is that of the pickle.
  PickledTensors(const ZipDirectory& entries, std::string folder, std::size_t pickle_size)
      : entries_(entries),
        folder_(std::move(folder)),
        work_left_(kFreeWork + kWorkOfByte * pickle_size) {}

  /// Throws std::runtime_error with the bare reason.
  std::vector<TensorRecord> collect(const PickleValue& root) {
    if (!is_container(root)) fail("expected a dictionary of tensors, got " + described(root));
    visit(root, "", 0);
    return std::move(records_);
  }

 private:
  using Kind = PickleValue::Kind;
  static constexpr int kMaxDepth = 64;
  static constexpr std::size_t kFreeWork = 8192, kWorkOfByte = 8;
  static constexpr std::size_t kWorkOfTensor = 128, kWorkOfDimension = 8;

  [[noreturn]] static void fail(const std::string& reason) { throw std::runtime_error(reason); }

  static bool is_container(const PickleValue& value) {
    return value.is(Kind::kDict) || value.is(Kind::kList) || value.is(Kind::kTuple);
  }

  static std::string described(const PickleValue& value) {
    if (value.is(Kind::kTensor)) return "a bare tensor";
    if (value.is(Kind::kObject))
      return "an object of " + std::string(value.text) + "." + std::string(value.name) +
             ": in Python, save its state_dict()";
    return "something else";
  }

  /// A value may stand in several places, a dictionary also within itself: that makes more of it
  /// without making the pickle longer, so what is done with values is limited by the pickle's
  /// length. A unit of work takes no more than a few bytes and steps.
  void spend(std::size_t work) {
    if (work > work_left_) fail("its pickle repeats too much");
    work_left_ -= work;
  }

  void visit(const PickleValue& value, const std::string& name, int depth) {
    if (value.is(Kind::kTensor)) return add(tensor_of(value, name));
    if (value.is(Kind::kObject)) return note_object(value, name);
    if (!is_container(value)) return;
    if (depth > kMaxDepth) fail("its dictionaries are nested more than 64 deep, or in a circle");
    const bool has_keys = value.is(Kind::kDict);
    for (std::size_t i = 0; i < value.items.size(); i += has_keys ? 2 : 1) {
      spend(1);
      const auto& item = *value.items[has_keys ? i + 1 : i];
      if (!is_container(item) && !item.is(Kind::kTensor) && !item.is(Kind::kObject)) continue;
      if (has_keys && !is_key(*value.items[i])) continue;
      const auto key = has_keys ? key_text(*value.items[i]) : std::to_string(i);
      spend(name.size() + key.size());
      visit(item, name.empty() ? key : name + "." + key, depth + 1);
    }
  }

  static bool is_key(const PickleValue& key) {
    return key.is(Kind::kText) || key.is(Kind::kInteger);
  }

  static std::string key_text(const PickleValue& key) {
    return key.is(Kind::kText) ? std::string(key.text) : std::to_string(key.integer);
  }

  void add(TensorRecord record) {
    spend(kWorkOfTensor + kWorkOfDimension * record.sizes.size());
    if (!names_.insert(record.name).second)
      fail("it has two tensors of the name '" + record.name + "'");
    records_.push_back(std::move(record));
  }

  /// An object is passed over, unless it would have been a tensor.
  void note_object(const PickleValue& object, const std::string& name) {
    if (object.name.substr(0, 8) != "_rebuild") return;
    spend(object.text.size() + object.name.size());
    TensorRecord record;
    record.name = name;
    record.refused = "is made by " + std::string(object.text) + "." + std::string(object.name) +
                     ", expected a dense tensor of an ordinary type";
    add(std::move(record));
  }

  TensorRecord tensor_of(const PickleValue& tensor, const std::string& name) {
    const auto& arguments = *tensor.items[0];
    const auto& storage = arguments.item(0, Kind::kStorage);
    const auto& type_name = storage.item(1, Kind::kGlobal).name;
    spend(type_name.size());
    TensorRecord record;
    record.name = name;
    if (const auto type = find_element_type(&ElementFormat::storage, type_name)) {
      record.type = *type;
    } else {
      record.refused = refused_elements(type_name);
      return record;
    }
    if (has_lazy_bit(arguments)) {
      record.refused = "is a view that negates or conjugates, expected resolve_neg() of it";
      return record;
    }
    place(record, storage, arguments);
    return record;
  }

  /// The last argument, where there is one, says {'neg': True}, {'conj': True} or nothing.
  bool has_lazy_bit(const PickleValue& arguments) {
    if (arguments.items.size() < 7) return false;
    spend(arguments.items[6]->items.size());
    for (const auto* item : arguments.items[6]->items) {
      if (item->is(Kind::kBool) && item->integer == 1) return true;
    }
    return false;
  }

  /// Fills in shape and place, having checked them.
  void place(TensorRecord& record, const PickleValue& storage, const PickleValue& arguments) {
    record.sizes = integers(arguments.item(2, Kind::kTuple));
    record.strides = integers(arguments.item(3, Kind::kTuple));
    element_count(record.name, record.sizes);
    if (record.strides.size() != record.sizes.size())
      fail("its tensor '" + record.name + "' has not as many strides as dimensions");

    const auto& storage_name = storage.item(2, Kind::kText).text;
    spend(storage_name.size());
    const auto key = "data/" + std::string(storage_name);
    const auto found = entries_.find(folder_ + key);
    if (found == entries_.end())
      fail("its tensor '" + record.name + "' lies in " + key + ", which is missing");
    const auto& entry = found->second;

    const auto bytes = format_of(record.type).bytes;
    const auto said = storage.item(4, Kind::kInteger).integer;
    const auto there = static_cast<std::int64_t>(entry.size) / bytes;
    if (said < 0 || said > there)
      fail(key + " of '" + record.name + "' has " + std::to_string(there) + " elements, expected " +
           std::to_string(said));
    const auto offset = arguments.item(1, Kind::kInteger).integer;
    if (offset < 0 || offset > said)
      fail("its tensor '" + record.name + "' lies outside of its storage");
    record.extent = extent_of(record.name, record.sizes, record.strides, said - offset);
    record.begin = entry.begin + static_cast<std::uint64_t>(offset * bytes);
  }

  static Sizes integers(const PickleValue& tuple) {
    if (tuple.items.size() > kMaxDimensions) fail("it has a tensor of more than 64 dimensions");
    Sizes numbers;
    for (std::size_t i = 0; i < tuple.items.size(); ++i)
      numbers.push_back(tuple.item(i, Kind::kInteger).integer);
    return numbers;
  }

  const ZipDirectory& entries_;
  const std::string folder_;
  std::vector<TensorRecord> records_;
  std::unordered_set<std::string> names_;
  std::size_t work_left_;
};

/// True for what torch.save wrote before version 1.6.
inline bool is_old_pth(ByteSource& file) {
  constexpr std::string_view kMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  return file.size() >= kMagic.size() && file.read(0, kMagic.size()) == kMagic;
}

/// The folder that torch.save put everything in: the one that has "data.pkl" ("" at the root).
inline std::string folder_of(const ZipDirectory& entries) {
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto& [name, entry] : entries) {
    const auto slash = name.find('/') + 1;
    if (std::string_view(name).substr(slash) == kPickle) return name.substr(0, slash);
  }
  throw std::runtime_error("it has no data.pkl, so torch.save did not write it");
}

/// The tensors of a .pth file. Throws std::runtime_error with the bare reason.
inline std::vector<TensorRecord> pth_records(ByteSource& file) {
  if (is_old_pth(file)) {
    throw std::runtime_error(
        "it is in the format of PyTorch before 1.6; in Python, convert it by "
        "torch.save(torch.load(old_file, map_location='cpu'), new_file)");
  }
  const auto entries = ZipReader(file).directory();
  const auto folder = folder_of(entries);
  const auto content = [&](const std::string& name) {
    const auto& entry = entries.at(folder + name);
    return file.read(entry.begin, entry.size);
  };
  if (entries.count(folder + "byteorder") == 1 && content("byteorder") != "little")
    throw std::runtime_error("its numbers are big-endian, expected little-endian");
  const auto pickle = content("data.pkl");
  PickleMachine machine(pickle);
  auto records = PickledTensors(entries, folder, pickle.size()).collect(machine.run());
  check_total(records, file.size());
  return records;
}

}  // namespace slotcon::io::detail
