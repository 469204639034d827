// Encodes 8-bit samples as a PNG file in memory.
#pragma once

#include <png.h>
#include <slotcon/data/detail/file_bytes.h>
#include <slotcon/data/detail/png_decoder.h>

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace slotcon::data::detail {

/// The libpng calls, in a step with only trivial locals for the same reason as in JpegDecoder.
class PngEncoder {
 public:
  PngEncoder() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &errors_, &PngErrors::escape,
                                   &PngErrors::ignore);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngEncoder() { png_destroy_write_struct(&png_, &info_); }
  PngEncoder(const PngEncoder&) = delete;
  PngEncoder& operator=(const PngEncoder&) = delete;

  /// False if libpng failed; reason() then says why.
  bool write(const std::uint8_t* samples, int height, int width, int channels) {
    if (info_ == nullptr) return false;
    if (setjmp(errors_.landing) != 0) return false;
    png_set_write_fn(png_, &bytes_, &PngEncoder::append, nullptr);
    png_set_IHDR(png_, info_, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), 8,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    const std::size_t stride = static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
    for (int row = 0; row < height; ++row) {
      png_write_row(png_, samples + static_cast<std::size_t>(row) * stride);
    }
    png_write_end(png_, info_);
    return true;
  }

  const Bytes& bytes() const { return bytes_; }
  std::string reason() const { return errors_.reason; }

 private:
  /// An exception must not cross the C code of libpng, nor a jump leave a handler.
  static void append(png_structp png, png_bytep from, png_size_t count) {
    auto* bytes = static_cast<Bytes*>(png_get_io_ptr(png));
    bool stored = true;
    try {
      bytes->insert(bytes->end(), from, from + count);
    } catch (const std::bad_alloc&) {
      stored = false;
    }
    if (!stored) png_error(png, "out of memory");
  }

  PngErrors errors_{};
  Bytes bytes_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

/// Throws std::runtime_error with the bare reason.
inline Bytes encode_png(const std::uint8_t* samples, int height, int width, int channels) {
  PngEncoder encoder;
  if (!encoder.write(samples, height, width, channels)) throw std::runtime_error(encoder.reason());
  return encoder.bytes();
}

}  // namespace slotcon::data::detail
