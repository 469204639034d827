// The two picture types of the data room: an RGB image and a map of class labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace slotcon::data {

namespace detail {

inline std::size_t checked_area(const char* who, int height, int width) {
  if (height <= 0 || width <= 0) {
    throw std::invalid_argument(std::string(who) + ": expected a positive height and width, got " +
                                std::to_string(height) + " x " + std::to_string(width));
  }
  return static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
}

}  // namespace detail

/// An RGB image of 8 bits a channel: rows from top to bottom, in each row pixels from left to
/// right, in each pixel red, green, blue (HWC).
struct Image {
  int height = 0;                    ///< in pixels
  int width = 0;                     ///< in pixels
  std::vector<std::uint8_t> pixels;  ///< height * width * 3 values

  /// An image without pixels.
  Image() = default;

  /// A black image. Throws std::invalid_argument unless both sizes are positive.
  Image(int image_height, int image_width)
      : height(image_height),
        width(image_width),
        pixels(3 * detail::checked_area("Image", image_height, image_width)) {}

  /// The three values of the pixel in row y and column x; the rest of the row follows them.
  std::uint8_t* at(int y, int x) { return pixels.data() + offset(y, x); }
  const std::uint8_t* at(int y, int x) const { return pixels.data() + offset(y, x); }

 private:
  std::size_t offset(int y, int x) const {
    return 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                static_cast<std::size_t>(x));
  }
};

/// One class label for each pixel of an image, in the order of its pixels (HW).
struct LabelMap {
  int height = 0;                    ///< in pixels
  int width = 0;                     ///< in pixels
  std::vector<std::uint8_t> labels;  ///< height * width values

  /// A map without pixels.
  LabelMap() = default;

  /// A map of zeros. Throws std::invalid_argument unless both sizes are positive.
  LabelMap(int map_height, int map_width)
      : height(map_height),
        width(map_width),
        labels(detail::checked_area("LabelMap", map_height, map_width)) {}

  /// The label of the pixel in row y and column x.
  std::uint8_t& at(int y, int x) { return labels[offset(y, x)]; }
  std::uint8_t at(int y, int x) const { return labels[offset(y, x)]; }

 private:
  std::size_t offset(int y, int x) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
};

inline bool operator==(const Image& a, const Image& b) {
  return a.height == b.height && a.width == b.width && a.pixels == b.pixels;
}
inline bool operator!=(const Image& a, const Image& b) { return !(a == b); }

inline bool operator==(const LabelMap& a, const LabelMap& b) {
  return a.height == b.height && a.width == b.width && a.labels == b.labels;
}
inline bool operator!=(const LabelMap& a, const LabelMap& b) { return !(a == b); }

}  // namespace slotcon::data
