// The 27 classes into which the 182 labels of COCO-Stuff are grouped for unsupervised segmentation.
#pragma once

#include <slotcon/data/label_scheme.h>

#include <cstdint>

namespace slotcon::data {

namespace detail {

/// Labels `first` ... `last` and the class that they belong to.
struct LabelRange {
  int first, last;
  std::uint8_t class_number;
};

constexpr LabelRange kCocoThings[] = {{71, 76, 0}, {77, 82, 1}, {51, 60, 2},  {61, 70, 3},
                                      {83, 90, 4}, {43, 50, 5}, {25, 32, 6},  {15, 24, 7},
                                      {9, 14, 8},  {0, 0, 9},   {33, 42, 10}, {1, 8, 11}};

constexpr LabelRange kCocoStuff[] = {
    {101, 102, 12},                                  // ceiling
    {100, 100, 13}, {113, 117, 13},                  // floor
    {120, 121, 14}, {152, 152, 14}, {169, 169, 14},  // food
    {97, 97, 15},   {106, 107, 15}, {109, 109, 15}, {111, 111, 15}, {122, 122, 15},
    {129, 129, 15}, {132, 132, 15}, {155, 155, 15}, {160, 160, 15}, {164, 164, 15},  // furniture
    {99, 99, 16},   {131, 131, 16}, {138, 138, 16}, {142, 142, 16},                  // raw material
    {91, 92, 17},   {103, 104, 17}, {108, 108, 17}, {130, 130, 17}, {136, 136, 17},
    {140, 140, 17}, {151, 151, 17}, {166, 167, 17},                                  // textile
    {170, 176, 18},                                                                  // wall
    {179, 180, 19},                                                                  // window
    {94, 95, 20},   {127, 127, 20}, {150, 150, 20}, {157, 157, 20}, {165, 165, 20},  // building
    {110, 110, 21}, {124, 125, 21}, {135, 135, 21}, {139, 139, 21}, {143, 144, 21},
    {146, 146, 21}, {148, 148, 21}, {153, 153, 21}, {158, 158, 21},  // ground
    {93, 93, 22},   {96, 96, 22},   {118, 118, 22}, {123, 123, 22}, {128, 128, 22},
    {133, 133, 22}, {141, 141, 22}, {162, 162, 22}, {168, 168, 22},  // plant
    {105, 105, 23}, {156, 156, 23},                                  // sky
    {126, 126, 24}, {134, 134, 24}, {149, 149, 24}, {159, 159, 24}, {161, 161, 24},
    {181, 181, 24},                                                                  // solid
    {98, 98, 25},   {112, 112, 25}, {137, 137, 25}, {145, 145, 25}, {163, 163, 25},  // structural
    {119, 119, 26}, {147, 147, 26}, {154, 154, 26}, {177, 178, 26}};                 // water

template <std::size_t count>
void assign_labels(LabelScheme& scheme, const LabelRange (&ranges)[count]) {
  for (const auto& range : ranges) {
    for (int label = range.first; label <= range.last; ++label) {
      scheme.class_of_label[static_cast<std::size_t>(label)] = range.class_number;
    }
  }
}

}  // namespace detail

/// COCO-Stuff-27: 12 classes of things and 15 of stuff, out of the label maps `stuffthingmaps`
/// (0 ... 90 things, 91 ... 181 stuff, 255 not labelled).
///
/// Source: Cho et al., "PiCIE", CVPR 2021, which SlotCon's table of unsupervised segmentation
/// follows.
inline LabelScheme coco_stuff_27() {
  LabelScheme scheme(
      "COCO-Stuff-27",
      {"electronic", "appliance",  "food thing", "furniture thing", "indoor",       "kitchen",
       "accessory",  "animal",     "outdoor",    "person",          "sports",       "vehicle",
       "ceiling",    "floor",      "food stuff", "furniture stuff", "raw material", "textile",
       "wall",       "window",     "building",   "ground",          "plant",        "sky",
       "solid",      "structural", "water"});
  detail::assign_labels(scheme, detail::kCocoThings);
  detail::assign_labels(scheme, detail::kCocoStuff);
  return scheme;
}

}  // namespace slotcon::data
