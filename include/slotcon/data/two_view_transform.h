// Makes the two augmented views of an image that the method compares.
#pragma once

#include <slotcon/data/crop.h>
#include <slotcon/data/image.h>
#include <slotcon/data/photometric.h>
#include <slotcon/data/random.h>
#include <slotcon/data/resize.h>
#include <slotcon/data/two_view_geometry.h>

#include <array>
#include <cstddef>
#include <sstream>
#include <stdexcept>

namespace slotcon::data {

/// How the colours and the sharpness of a view change, in this order, each with a probability.
struct PhotometricOptions {
  double jitter_probability = 0.8;
  ColorJitter jitter;
  double grayscale_probability = 0.2;
  double blur_probability = 1.0;
  double min_blur_sigma = 0.1;  ///< in pixels of the view; the sigma is uniform between the two
  double max_blur_sigma = 2.0;
  double solarize_probability = 0.0;
};

/// The published setting of the first view: it is always blurred.
inline PhotometricOptions first_view_photometric() { return {}; }

/// The published setting of the second view: it is seldom blurred and sometimes solarized.
inline PhotometricOptions second_view_photometric() {
  PhotometricOptions options;
  options.blur_probability = 0.1;
  options.solarize_probability = 0.2;
  return options;
}

/// How make_two_views() works; the defaults are the published ones (SlotCon, NeurIPS 2022).
struct TwoViewOptions {
  int image_size = 224;     ///< height and width of a view, in pixels
  double min_scale = 0.08;  ///< the least area of a crop, as a share of the image's
  double flip_probability = 0.5;
  std::array<PhotometricOptions, 2> photometric = {first_view_photometric(),
                                                   second_view_photometric()};
};

/// One view, and where the region that both views show lies in it.
struct View {
  Image image;           ///< image_size x image_size
  Box box;               ///< measured after the flip
  bool flipped = false;  ///< the view is mirrored left to right
};

namespace detail {

inline void check_option(const char* name, double value, double least, double greatest) {
  if (value >= least && value <= greatest) return;
  std::ostringstream message;
  message << "TwoViewOptions: expected " << name << " in " << least << " ... " << greatest
          << ", got " << value;
  throw std::invalid_argument(message.str());
}

inline void check_photometric(const PhotometricOptions& options) {
  check_option("jitter_probability", options.jitter_probability, 0, 1);
  check_option("jitter.brightness", options.jitter.brightness, 0, 100);
  check_option("jitter.contrast", options.jitter.contrast, 0, 100);
  check_option("jitter.saturation", options.jitter.saturation, 0, 100);
  check_option("jitter.hue", options.jitter.hue, 0, 0.5);
  check_option("grayscale_probability", options.grayscale_probability, 0, 1);
  check_option("blur_probability", options.blur_probability, 0, 1);
  check_option("max_blur_sigma", options.max_blur_sigma, 0, 100);
  check_option("min_blur_sigma", options.min_blur_sigma, 0, options.max_blur_sigma);
  check_option("solarize_probability", options.solarize_probability, 0, 1);
}

inline void change_colours(Image& image, const PhotometricOptions& options, Random& random) {
  if (random.chance(options.jitter_probability)) color_jitter(image, options.jitter, random);
  if (random.chance(options.grayscale_probability)) grayscale(image);
  if (random.chance(options.blur_probability)) {
    gaussian_blur(image, random.uniform(options.min_blur_sigma, options.max_blur_sigma));
  }
  if (random.chance(options.solarize_probability)) solarize(image);
}

}  // namespace detail

/// Throws std::invalid_argument, naming the option, if one is out of its range.
inline void check_options(const TwoViewOptions& options) {
  detail::check_option("image_size", options.image_size, 1, 16384);
  detail::check_option("min_scale", options.min_scale, 1e-6, 1);
  detail::check_option("flip_probability", options.flip_probability, 0, 1);
  for (const PhotometricOptions& view : options.photometric) detail::check_photometric(view);
}

/// Two random crops of the image that (nearly always) overlap, each resized bicubically, mirrored
/// with probability flip_probability, and changed in its colours independently of the other.
///
/// Draws everything from `random`: the same stream gives the same views. Throws
/// std::invalid_argument if an option is out of its range or the image has no pixels.
inline std::array<View, 2> make_two_views(const Image& image, const TwoViewOptions& options,
                                          Random& random) {
  check_options(options);
  detail::checked_area("make_two_views", image.height, image.width);
  const Crop first = random_crop(image.height, image.width, options.min_scale, random);
  const Crop second =
      random_overlapping_crop(image.height, image.width, options.min_scale, first, random);
  const std::array<Crop, 2> crops = {first, second};
  const std::array<Box, 2> boxes = overlap_boxes(first, second);
  std::array<View, 2> views;
  for (std::size_t v = 0; v < views.size(); ++v) {
    View& view = views[v];
    view.image =
        crop_and_resize(image, crops[v], options.image_size, options.image_size, Filter::kBicubic);
    view.flipped = random.chance(options.flip_probability);
    if (view.flipped) flip_horizontal(view.image);
    view.box = view.flipped ? flip(boxes[v]) : boxes[v];
    detail::change_colours(view.image, options.photometric[v], random);
  }
  return views;
}

}  // namespace slotcon::data
