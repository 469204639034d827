#include <slotcon/data/image_file.h>

#include <stdexcept>

#include "tests/fuzz/target.h"

namespace {

constexpr int kMostPixels = 1 << 18;  // larger ones are slow and nothing new

void read(const slotcon::data::detail::Bytes& jpeg) {
  slotcon::data::detail::JpegDecoder decoder(jpeg);
  if (!decoder.read_header() || decoder.height() > kMostPixels / decoder.width()) return;
  slotcon::data::detail::decode_jpeg(jpeg);
}

}  // namespace

std::size_t most_memory(std::size_t size) { return (std::size_t{1} << 22) + 4 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read({data, data + size});
  } catch (const std::runtime_error&) {
  }
  return 0;
}
