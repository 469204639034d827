// A value of Python as a pickle describes it, as far as tensors need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace slotcon::io::detail {

/// Text lies in the pickle's bytes; values refer to each other, possibly in circles.
struct PickleValue {
  enum class Kind {
    kOther,    ///< None, a number with a point, bytes, an argument that no tensor depends on
    kBool,     ///< `integer`: 0 or 1
    kInteger,  ///< `integer`
    kText,     ///< `text`
    kTuple,    ///< `items`
    kList,     ///< `items`
    kDict,     ///< `items`: key, value, key, value ...
    kGlobal,   ///< `text` and `name`: a module and what it has of that name
    kObject,   ///< `text` and `name`: what that class or function would make; it was not called
    kStorage,  ///< `items`: 'storage', the class, the key, the device, the number of elements
    kTensor    ///< `items`: the tuple of the arguments of _rebuild_tensor_v2
  };

  Kind kind = Kind::kOther;
  std::int64_t integer = 0;
  std::string_view text, name;
  std::vector<PickleValue*> items;

  bool is(Kind wanted) const { return kind == wanted; }
  bool is_global(std::string_view module, std::string_view wanted) const {
    return kind == Kind::kGlobal && text == module && name == wanted;
  }

  /// Item `index`, of kind `wanted`. Throws std::runtime_error with the bare reason if there is
  /// none.
  PickleValue& item(std::size_t index, Kind wanted) const {
    if (index >= items.size() || !items[index]->is(wanted))
      throw std::runtime_error("its pickle describes a tensor as torch.save does not");
    return *items[index];
  }
};

}  // namespace slotcon::io::detail
