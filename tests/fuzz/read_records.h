// Reads the bytes of tensors as io/detail/tensors.h does, without LibTorch.
#pragma once

#include <slotcon/io/detail/byte_source.h>
#include <slotcon/io/detail/tensor_record.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

/// Ends the program if a record that was found to be sound is not.
inline void read_records(slotcon::io::detail::ByteSource& file,
                         const std::vector<slotcon::io::detail::TensorRecord>& records) {
  for (const auto& record : records) {
    if (!record.refused.empty()) continue;
    const auto bytes = slotcon::io::detail::format_of(record.type).bytes;
    const auto count = slotcon::io::detail::element_count(record.name, record.sizes);
    file.read(record.begin, static_cast<std::uint64_t>(record.extent * bytes));
    if (record.strides.size() != record.sizes.size()) std::abort();
    std::int64_t last = 0;
    for (std::size_t d = 0; d < record.sizes.size(); ++d)
      last += (record.sizes[d] - 1) * record.strides[d];
    if (count > 0 && last + 1 != record.extent) std::abort();
    if (count == 0 && record.extent != 0) std::abort();
  }
}
