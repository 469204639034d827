// The classes of PASCAL VOC's segmentation.
#pragma once

#include <slotcon/data/label_scheme.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data {

/// The background and 20 classes of objects, as the palette indices of SegmentationClass/*.png
/// number them; 255, the outline of objects, is not scored.
///
/// Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010.
inline LabelScheme pascal_voc_21() {
  LabelScheme scheme(
      "PASCAL VOC",
      {"background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
       "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
       "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"});
  for (std::size_t number = 0; number < scheme.classes.size(); ++number) {
    scheme.class_of_label[number] = static_cast<std::uint8_t>(number);
  }
  return scheme;
}

}  // namespace slotcon::data
