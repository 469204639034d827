#include <slotcon/data/image_file.h>
#include <slotcon/io/detail/crc32.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "tests/fuzz/target.h"

using slotcon::data::detail::Bytes;

namespace {

constexpr std::int64_t kMostPixels = 1 << 18;  // larger ones are slow and nothing new

std::uint32_t number_at(const Bytes& png, std::size_t place) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | png[place + i];
  return number;
}

/// Puts the right checksum behind each chunk, so that a change gets further than that.
void mend_checksums(Bytes& png) {
  for (std::size_t place = 8; place + 12 <= png.size();) {
    const std::size_t length = number_at(png, place);
    if (length > png.size() - place - 12) return;
    const auto sum = slotcon::io::detail::crc32(
        {reinterpret_cast<const char*>(png.data()) + place + 4, length + 4});
    for (std::size_t i = 0; i < 4; ++i)
      png[place + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    place += 12 + length;
  }
}

void read(const Bytes& png) {
  slotcon::data::detail::PngDecoder decoder(png);
  slotcon::data::detail::open_png(decoder);
  if (decoder.height() * decoder.width() > kMostPixels) return;
  try {
    slotcon::data::detail::decode_png(png);
  } catch (const std::runtime_error&) {
  }
  slotcon::data::detail::decode_png_labels(png);
}

}  // namespace

std::size_t most_memory(std::size_t size) { return (std::size_t{1} << 22) + 4 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes png(data, data + size);
  mend_checksums(png);
  try {
    read(png);
  } catch (const std::runtime_error&) {
  }
  return 0;
}
