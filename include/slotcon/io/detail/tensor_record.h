// Where a tensor lies in a file.
#pragma once

#include <slotcon/io/detail/element_type.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::io::detail {

using Sizes = std::vector<std::int64_t>;

/// A tensor as its file describes it: its elements lie among the `extent` ones from byte `begin` of
/// the file on.
struct TensorRecord {
  std::string name;
  std::string refused;  ///< why the tensor cannot be read; empty if it can
  ElementType type = ElementType::kFloat32;
  Sizes sizes, strides;  ///< strides in elements
  std::uint64_t begin = 0;
  std::int64_t extent = 0;
};

constexpr std::size_t kMaxDimensions = 64;

/// The product of the sizes. Throws std::runtime_error with the bare reason if one is negative, if
/// there are more than 64, or if the product (of those that are not 0) has more than 62 bits.
inline std::int64_t element_count(const std::string& name, const Sizes& sizes) {
  constexpr std::int64_t kMax = std::int64_t{1} << 62;
  std::int64_t product = 1;
  bool possible = sizes.size() <= kMaxDimensions;
  for (const auto size : sizes) {
    possible = possible && size >= 0 && product <= kMax / std::max<std::int64_t>(size, 1);
    if (possible) product *= std::max<std::int64_t>(size, 1);
  }
  if (!possible) throw std::runtime_error("its tensor '" + name + "' has an impossible shape");
  return std::count(sizes.begin(), sizes.end(), 0) > 0 ? 0 : product;
}

/// The number of elements from the first to the last, both included, of sizes that are not
/// negative; 0 if there are none. Throws std::runtime_error with the bare reason if that is more
/// than `limit` or a stride is negative.
inline std::int64_t extent_of(const std::string& name, const Sizes& sizes, const Sizes& strides,
                              std::int64_t limit) {
  if (std::any_of(strides.begin(), strides.end(), [](auto stride) { return stride < 0; }))
    throw std::runtime_error("its tensor '" + name + "' has a negative stride");
  if (std::count(sizes.begin(), sizes.end(), 0) > 0) return 0;
  std::int64_t last = 0;
  bool inside = limit > 0;
  for (std::size_t d = 0; d < sizes.size() && inside; ++d) {
    const auto steps = sizes[d] - 1;
    inside = steps == 0 || strides[d] <= (limit - 1 - last) / steps;
    if (inside) last += steps * strides[d];
  }
  if (!inside) throw std::runtime_error("its tensor '" + name + "' lies outside of its storage");
  return last + 1;
}

/// Strides of a tensor whose elements lie one after the other, the last dimension fastest.
inline Sizes contiguous_strides(const Sizes& sizes) {
  Sizes strides(sizes.size(), 1);
  for (auto d = sizes.size(); d > 1; --d)
    strides[d - 2] = strides[d - 1] * std::max<std::int64_t>(sizes[d - 1], 1);
  return strides;
}

/// Throws std::runtime_error with the bare reason if the tensors take, or lie among, more than
/// eight times the bytes of their file: several may share a storage, but hardly more than that.
inline void check_total(const std::vector<TensorRecord>& records, std::uint64_t file_size) {
  std::uint64_t left = 8 * file_size;
  for (const auto& record : records) {
    if (!record.refused.empty()) continue;
    const auto count = static_cast<std::uint64_t>(
        std::max(element_count(record.name, record.sizes), record.extent));
    const auto bytes = static_cast<std::uint64_t>(format_of(record.type).bytes);
    if (count > left / bytes)
      throw std::runtime_error("its tensors take more than eight times its size");
    left -= count * bytes;
  }
}

}  // namespace slotcon::io::detail
