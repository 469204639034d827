// The classes of Cityscapes, out of the labels of its files *_gtFine_labelIds.png.
#pragma once

#include <slotcon/data/label_scheme.h>

#include <cstddef>
#include <cstdint>

namespace slotcon::data {

/// The 19 classes of the benchmark; the other labels are not scored.
///
/// Source: Cordts et al., "The Cityscapes Dataset", CVPR 2016; the numbers are its "train ids".
inline LabelScheme cityscapes_19() {
  LabelScheme scheme("Cityscapes-19",
                     {"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light",
                      "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car",
                      "truck", "bus", "train", "motorcycle", "bicycle"});
  std::uint8_t number = 0;
  for (const std::size_t label :
       {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}) {
    scheme.class_of_label[label] = number++;
  }
  return scheme;
}

/// All 27 classes, labels 7 ... 33, as unsupervised segmentation scores them.
///
/// Source: Cho et al., "PiCIE", CVPR 2021.
inline LabelScheme cityscapes_27() {
  LabelScheme scheme(
      "Cityscapes-27",
      {"road",          "sidewalk",     "parking",    "rail track", "building", "wall",
       "fence",         "guard rail",   "bridge",     "tunnel",     "pole",     "polegroup",
       "traffic light", "traffic sign", "vegetation", "terrain",    "sky",      "person",
       "rider",         "car",          "truck",      "bus",        "caravan",  "trailer",
       "train",         "motorcycle",   "bicycle"});
  for (std::uint8_t number = 0; number < 27; ++number) {
    scheme.class_of_label[std::size_t{7} + number] = number;
  }
  return scheme;
}

}  // namespace slotcon::data
