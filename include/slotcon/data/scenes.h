// Procedural scenes with exact labels: a data set that needs no download and no file.
#pragma once

#include <slotcon/data/detail/scene_painter.h>
#include <slotcon/data/image.h>
#include <slotcon/data/image_source.h>
#include <slotcon/data/random.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace slotcon::data {

/// A picture and the class of each of its pixels, an index into kSceneClasses.
struct Scene {
  Image image;
  LabelMap labels;
};

/// The names of the classes: three kinds of region and six kinds of thing.
inline constexpr std::array<const char*, 9> kSceneClasses = {
    "sky", "grass", "water", "disc", "box", "triangle", "star", "cross", "ellipse"};

/// Scene number `index` of the endless set that `seed` names, size x size pixels.
///
/// Sky over grass or water, with three to five things in front that hide each other. A class is a
/// shape, a texture and a rough hue. Hues collide between classes, every object has two tones, and
/// each scene has its own colour cast and light, so that colour informs but does not decide; the
/// textures (periods of 4.5 to 9 pixels at any size) do, and survive the usual augmentations.
///
/// The same scene on every compiler and processor, bit for bit: parameters are drawn with Random,
/// everything after that is integer arithmetic. (The build must not relax IEEE arithmetic, as
/// -ffast-math does.)
///
/// Throws std::invalid_argument unless size is in 16 ... 4096.
inline Scene make_scene(std::uint64_t seed, std::uint64_t index, int size = 96) {
  if (size < 16 || size > 4096) {
    throw std::invalid_argument("make_scene: expected a size in 16 ... 4096, got " +
                                std::to_string(size));
  }
  Random random = Random::keyed(seed, index);
  detail::SceneCanvas canvas(size);
  detail::paint_regions(canvas, random);
  const int things = random.integer(3, 5);
  for (int thing = 0; thing < things; ++thing) detail::paint_thing(canvas, random);
  Image image = detail::light(canvas, random);
  return {std::move(image), std::move(canvas.labels())};
}

/// Scenes 0 ... count - 1 of a seed as a set of images.
class SceneImages : public ImageSource {
 public:
  /// Throws std::invalid_argument if count is negative.
  SceneImages(std::uint64_t seed, std::int64_t count, int size = 96)
      : seed_(seed), count_(count), size_(size) {
    if (count < 0) {
      throw std::invalid_argument("SceneImages: expected a count of at least 0, got " +
                                  std::to_string(count));
    }
  }

  std::int64_t size() const override { return count_; }

  Image load(std::int64_t index) const override { return scene(index).image; }

  /// Scene number `index` with its labels. Throws std::out_of_range if there is no such index.
  Scene scene(std::int64_t index) const {
    if (index < 0 || index >= count_) {
      throw std::out_of_range("SceneImages: expected an index in 0 ... " +
                              std::to_string(count_ - 1) + ", got " + std::to_string(index));
    }
    return make_scene(seed_, static_cast<std::uint64_t>(index), size_);
  }

 private:
  std::uint64_t seed_;
  std::int64_t count_;
  int size_;
};

}  // namespace slotcon::data
