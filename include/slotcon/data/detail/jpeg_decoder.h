// Decodes a JPEG file that lies in memory.
#pragma once

#include <slotcon/data/detail/file_bytes.h>
#include <slotcon/data/detail/image_limits.h>
#include <slotcon/data/image.h>

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// clang-format off
#include <cstdio>     // declares FILE for
#include <jpeglib.h>  // which declares the types of
#include <jerror.h>
// clang-format on

namespace slotcon::data::detail {

/// The libjpeg calls. libjpeg reports an error by a jump, which must not skip a destructor: each
/// step therefore sets its own landing place and has only trivial locals, and what has a destructor
/// lives outside of the steps.
class JpegDecoder {
 public:
  /// Refers to `bytes` for as long as it lives.
  explicit JpegDecoder(const Bytes& bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = &JpegDecoder::escape;
    errors_.emit_message = &JpegDecoder::on_warning;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  /// Steps one and two; they return false if libjpeg failed, and reason() then says why.
  bool read_header() {
    if (setjmp(errors_.landing) != 0) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&info_, TRUE);
    info_.out_color_space = has_cmyk() ? JCS_CMYK : JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    return true;
  }
  bool read_rows(std::uint8_t* rows, std::size_t stride) {
    if (setjmp(errors_.landing) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = rows + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    return true;
  }

  int height() const { return static_cast<int>(info_.image_height); }
  int width() const { return static_cast<int>(info_.image_width); }
  bool has_cmyk() const { return info_.num_components == 4; }
  std::string reason() const { return errors_.reason; }

 private:
  struct Errors : jpeg_error_mgr {
    std::jmp_buf landing;
    char reason[JMSG_LENGTH_MAX];
  };

  [[noreturn]] static void escape(j_common_ptr info) {
    auto* errors = static_cast<Errors*>(info->err);
    errors->format_message(info, errors->reason);
    std::longjmp(errors->landing, 1);
  }

  /// Most warnings leave an image worth having. The end of the data before the end of the image
  /// does not: libjpeg would fill the rest with gray.
  static void on_warning(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) escape(info);
  }

  const Bytes& bytes_;
  jpeg_decompress_struct info_{};
  Errors errors_{};
};

/// CMYK as Adobe writes it, every channel inverted, to RGB in place.
inline void cmyk_to_rgb(const Bytes& cmyk, std::vector<std::uint8_t>& rgb) {
  for (std::size_t pixel = 0; 4 * pixel < cmyk.size(); ++pixel) {
    const unsigned key = cmyk[4 * pixel + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255u - cmyk[4 * pixel + c]) * key + 128u;
      rgb[3 * pixel + c] = static_cast<std::uint8_t>(key - ((product + (product >> 8)) >> 8));
    }
  }
}

/// Throws std::runtime_error with the bare reason.
inline Image decode_jpeg(const Bytes& bytes) {
  JpegDecoder decoder(bytes);
  if (!decoder.read_header()) throw std::runtime_error(decoder.reason());
  const std::string refused = refused_size(decoder.height(), decoder.width());
  if (!refused.empty()) throw std::runtime_error(refused);
  Image image(decoder.height(), decoder.width());
  const auto width = static_cast<std::size_t>(image.width);
  if (decoder.has_cmyk()) {
    Bytes cmyk(4 * width * static_cast<std::size_t>(image.height));
    if (!decoder.read_rows(cmyk.data(), 4 * width)) throw std::runtime_error(decoder.reason());
    cmyk_to_rgb(cmyk, image.pixels);
  } else if (!decoder.read_rows(image.pixels.data(), 3 * width)) {
    throw std::runtime_error(decoder.reason());
  }
  return image;
}

}  // namespace slotcon::data::detail
