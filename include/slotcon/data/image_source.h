// Where images come from: the one interface that loaders and tools read images through.
#pragma once

#include <slotcon/data/image.h>

#include <cstdint>

namespace slotcon::data {

/// A numbered set of images. Implementations let any number of threads call it at the same time.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  /// The number of images.
  virtual std::int64_t size() const = 0;

  /// Image number `index`, in 0 ... size() - 1; the same index always gives the same image.
  virtual Image load(std::int64_t index) const = 0;
};

}  // namespace slotcon::data
