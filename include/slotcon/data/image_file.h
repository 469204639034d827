// Image files: reads JPEG and PNG, writes PNG, to a file or to memory. Programs that include this
// link libjpeg and libpng.
#pragma once

#include <slotcon/data/detail/file_bytes.h>
#include <slotcon/data/detail/jpeg_decoder.h>
#include <slotcon/data/detail/png_decoder.h>
#include <slotcon/data/detail/png_encoder.h>
#include <slotcon/data/image.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data {

namespace detail {

inline bool is_jpeg(const Bytes& bytes) {
  constexpr std::array<std::uint8_t, 3> kMagic = {0xFF, 0xD8, 0xFF};
  return bytes.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

inline bool is_png(const Bytes& bytes) {
  constexpr std::array<std::uint8_t, 8> kMagic = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  return bytes.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

inline void write_png_file(const std::string& path, const std::uint8_t* samples, int height,
                           int width, int channels) {
  const auto fail = [&](const std::string& reason) {
    throw std::runtime_error("write_png: cannot write '" + path + "': " + reason);
  };
  if (height <= 0 || width <= 0) fail("the image has no pixels");
  const Bytes bytes = encode_png(samples, height, width, channels);
  std::ofstream file(path, std::ios::binary);
  if (!file) fail("it cannot be opened for writing");
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) fail("writing failed");
}

}  // namespace detail

/// Reads a JPEG or PNG file, told apart by its first bytes, as 8-bit RGB.
///
/// Gives what Pillow's `Image.open(path).convert("RGB")` gives: gray is copied to three channels,
/// palettes are looked up, CMYK and YCCK are taken as Adobe writes them (inverted), alpha is
/// dropped without blending, 16-bit samples keep their high byte (of 16-bit gray too, which Pillow
/// clips to white). Colour profiles, gamma and the EXIF orientation are ignored.
///
/// Throws std::runtime_error with the file's name and the reason if the file is missing, broken,
/// truncated, of another kind, or has more than 2^27 pixels.
inline Image read_image(const std::string& path) {
  const detail::Bytes bytes = detail::read_file("read_image", path);
  const bool jpeg = detail::is_jpeg(bytes);
  if (!jpeg && !detail::is_png(bytes)) {
    throw std::runtime_error("read_image: expected a JPEG or PNG file, got '" + path + "'");
  }
  try {
    return jpeg ? detail::decode_jpeg(bytes) : detail::decode_png(bytes);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("read_image: cannot decode '" + path + "': " + error.what());
  }
}

/// Reads the class labels of an image from a gray or palette PNG of at most 8 bits: the samples as
/// they stand in the file (palette indices, gray values without scaling).
///
/// Throws std::runtime_error with the file's name and the reason, as read_image() does, and for PNG
/// files of another kind.
inline LabelMap read_label_map(const std::string& path) {
  const detail::Bytes bytes = detail::read_file("read_label_map", path);
  if (!detail::is_png(bytes)) {
    throw std::runtime_error("read_label_map: expected a PNG file, got '" + path + "'");
  }
  try {
    return detail::decode_png_labels(bytes);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("read_label_map: cannot decode '" + path + "': " + error.what());
  }
}

/// The bytes of an RGB PNG file, deflated, the same ones that write_png() writes. Throws
/// std::invalid_argument if the image has no pixels, and std::runtime_error if memory runs out.
inline std::vector<std::uint8_t> encode_png(const Image& image) {
  detail::checked_area("encode_png", image.height, image.width);
  return detail::encode_png(image.pixels.data(), image.height, image.width, 3);
}

/// Writes an RGB PNG file. Throws std::runtime_error if the file cannot be written.
inline void write_png(const std::string& path, const Image& image) {
  detail::write_png_file(path, image.pixels.data(), image.height, image.width, 3);
}

/// Writes the labels as a gray PNG file, which read_label_map() reads back. Throws
/// std::runtime_error if the file cannot be written.
inline void write_png(const std::string& path, const LabelMap& map) {
  detail::write_png_file(path, map.labels.data(), map.height, map.width, 1);
}

}  // namespace slotcon::data
