#include <slotcon/io/detail/safetensors_header.h>

#include <stdexcept>
#include <string_view>

#include "tests/fuzz/read_records.h"
#include "tests/fuzz/target.h"

std::size_t most_memory(std::size_t size) { return (std::size_t{1} << 16) + 16 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  slotcon::io::detail::MemorySource file({reinterpret_cast<const char*>(data), size});
  try {
    read_records(file, slotcon::io::detail::safetensors_records(file));
  } catch (const std::runtime_error&) {
  }
  return 0;
}
