// Keeps the decoded images of another source in memory.
#pragma once

#include <slotcon/data/image.h>
#include <slotcon/data/image_source.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace slotcon::data {

/// The images of `source`, each decoded once and then kept, until their pixels fill `byte_budget`.
///
/// Images that no longer fit are loaded from the source each time. Nothing is ever evicted: an
/// epoch visits every image once in a random order, so that an old image is as likely to come next
/// as a new one.
class CachedImages : public ImageSource {
 public:
  /// Throws std::invalid_argument if source is null.
  CachedImages(std::shared_ptr<const ImageSource> source, std::size_t byte_budget)
      : source_(std::move(source)), byte_budget_(byte_budget) {
    if (!source_) throw std::invalid_argument("CachedImages: expected a source, got null");
    images_.resize(static_cast<std::size_t>(source_->size()));
  }

  std::int64_t size() const override { return source_->size(); }

  /// Throws std::out_of_range if there is no such index.
  Image load(std::int64_t index) const override {
    if (index < 0 || index >= size()) {
      throw std::out_of_range("CachedImages: expected an index in 0 ... " +
                              std::to_string(size() - 1) + ", got " + std::to_string(index));
    }
    if (const auto kept = find(index)) return *kept;
    auto image = std::make_shared<const Image>(source_->load(index));
    keep(index, image);
    return *image;
  }

  /// The bytes of pixels kept now.
  std::size_t bytes() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }

 private:
  std::shared_ptr<const Image> find(std::int64_t index) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return images_[static_cast<std::size_t>(index)];
  }

  void keep(std::int64_t index, std::shared_ptr<const Image> image) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& slot = images_[static_cast<std::size_t>(index)];
    const std::size_t size = image->pixels.size();
    if (slot || size > byte_budget_ - bytes_) return;
    slot = std::move(image);
    bytes_ += size;
  }

  std::shared_ptr<const ImageSource> source_;
  std::size_t byte_budget_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Image>> images_;
  mutable std::size_t bytes_ = 0;
};

}  // namespace slotcon::data
