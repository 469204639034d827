// Decodes a PNG file that lies in memory.
#pragma once

#include <png.h>
#include <slotcon/data/detail/file_bytes.h>
#include <slotcon/data/detail/image_limits.h>
#include <slotcon/data/image.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data::detail {

/// Where libpng lands after an error, and what the error was.
struct PngErrors {
  std::jmp_buf landing;
  char reason[256] = "libpng cannot be started";

  [[noreturn]] static void escape(png_structp png, png_const_charp message) {
    auto* errors = static_cast<PngErrors*>(png_get_error_ptr(png));
    std::snprintf(errors->reason, sizeof(errors->reason), "%s", message);
    std::longjmp(errors->landing, 1);
  }
  static void ignore(png_structp, png_const_charp) {}
};

/// The libpng calls, in steps with only trivial locals for the same reason as in JpegDecoder.
/// Samples come out as 8 bits: palette indices and gray values of fewer bits as they are in the
/// file, 16 bits as their high byte; alpha is dropped.
class PngDecoder {
 public:
  /// Refers to `bytes` for as long as it lives.
  explicit PngDecoder(const Bytes& bytes) : bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &errors_, &PngErrors::escape,
                                  &PngErrors::ignore);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  /// Steps one and two; they return false if libpng failed, and reason() then says why.
  bool read_header() {
    if (info_ == nullptr) return false;
    if (setjmp(errors_.landing) != 0) return false;
    png_set_read_fn(png_, this, &PngDecoder::read_bytes);
    png_read_info(png_, info_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    png_set_packing(png_);
    return true;
  }
  bool read_rows(std::uint8_t** rows) {
    if (setjmp(errors_.landing) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  std::int64_t height() const { return png_get_image_height(png_, info_); }
  std::int64_t width() const { return png_get_image_width(png_, info_); }
  int bit_depth() const { return png_get_bit_depth(png_, info_); }
  bool has_palette() const { return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE; }
  bool has_one_channel() const {
    return has_palette() || (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) == 0;
  }
  std::string reason() const { return errors_.reason; }

  /// The RGB colour that each sample of a one-channel image stands for.
  std::array<std::array<std::uint8_t, 3>, 256> colours() const {
    std::array<std::array<std::uint8_t, 3>, 256> table{};
    png_colorp palette = nullptr;
    int entries = 0;
    if (has_palette()) {
      png_get_PLTE(png_, info_, &palette, &entries);
      for (int entry = 0; entry < entries; ++entry) {
        table[static_cast<std::size_t>(entry)] = {palette[entry].red, palette[entry].green,
                                                  palette[entry].blue};
      }
    } else {
      const int brightest = (1 << std::min(bit_depth(), 8)) - 1;
      for (int sample = 0; sample <= brightest; ++sample) {
        table[static_cast<std::size_t>(sample)].fill(
            static_cast<std::uint8_t>(sample * (255 / brightest)));
      }
    }
    return table;
  }

 private:
  static void read_bytes(png_structp png, png_bytep to, png_size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->bytes_.size() - self->position_) png_error(png, "the file ends too early");
    std::copy_n(self->bytes_.data() + self->position_, count, to);
    self->position_ += count;
  }

  const Bytes& bytes_;
  std::size_t position_ = 0;
  PngErrors errors_{};
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

/// Reads the header and refuses what cannot be decoded. Throws std::runtime_error with the reason.
inline void open_png(PngDecoder& decoder) {
  if (!decoder.read_header()) throw std::runtime_error(decoder.reason());
  const std::string refused = refused_size(decoder.height(), decoder.width());
  if (!refused.empty()) throw std::runtime_error(refused);
}

/// Reads all rows into `samples`, `stride` bytes a row.
inline void read_png_rows(PngDecoder& decoder, std::vector<std::uint8_t>& samples,
                          std::size_t stride) {
  std::vector<std::uint8_t*> rows;
  for (std::size_t start = 0; start < samples.size(); start += stride) {
    rows.push_back(samples.data() + start);
  }
  if (!decoder.read_rows(rows.data())) throw std::runtime_error(decoder.reason());
}

/// Throws std::runtime_error with the bare reason.
inline Image decode_png(const Bytes& bytes) {
  PngDecoder decoder(bytes);
  open_png(decoder);
  Image image(static_cast<int>(decoder.height()), static_cast<int>(decoder.width()));
  const auto width = static_cast<std::size_t>(image.width);
  if (!decoder.has_one_channel()) {
    read_png_rows(decoder, image.pixels, 3 * width);
    return image;
  }
  std::vector<std::uint8_t> samples(image.pixels.size() / 3);
  read_png_rows(decoder, samples, width);
  const auto colours = decoder.colours();
  for (std::size_t pixel = 0; pixel < samples.size(); ++pixel) {
    std::copy_n(colours[samples[pixel]].data(), 3, image.pixels.data() + 3 * pixel);
  }
  return image;
}

/// The samples of a one-channel PNG as they are. Throws std::runtime_error with the bare reason.
inline LabelMap decode_png_labels(const Bytes& bytes) {
  PngDecoder decoder(bytes);
  open_png(decoder);
  if (!decoder.has_one_channel() || decoder.bit_depth() > 8) {
    throw std::runtime_error("expected a gray or palette image of at most 8 bits, got " +
                             std::to_string(decoder.bit_depth()) + " bits" +
                             (decoder.has_one_channel() ? "" : " a colour channel"));
  }
  LabelMap map(static_cast<int>(decoder.height()), static_cast<int>(decoder.width()));
  read_png_rows(decoder, map.labels, static_cast<std::size_t>(map.width));
  return map;
}

}  // namespace slotcon::data::detail
