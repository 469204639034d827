#include <gtest/gtest.h>
#include <slotcon/data/cityscapes.h>
#include <slotcon/data/coco_stuff.h>
#include <slotcon/data/pascal_voc.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace {

using slotcon::data::cityscapes_19;
using slotcon::data::cityscapes_27;
using slotcon::data::coco_stuff_27;
using slotcon::data::kUnscored;
using slotcon::data::LabelMap;
using slotcon::data::LabelScheme;
using slotcon::data::pascal_voc_21;
using Labels = std::vector<int>;

std::map<std::string, Labels> labels_of_classes(const LabelScheme& scheme) {
  std::map<std::string, Labels> labels;
  for (int label = 0; label < 256; ++label) {
    const auto number = scheme.class_of_label[static_cast<std::size_t>(label)];
    if (number != kUnscored) labels[scheme.classes.at(number)].push_back(label);
  }
  return labels;
}

TEST(CocoStuff27, GivesEachOfThe182LabelsAClassAndNoOther) {
  const auto scheme = coco_stuff_27();
  EXPECT_EQ(scheme.classes.size(), 27U);
  for (std::size_t label = 0; label < 256; ++label) {
    EXPECT_EQ(scheme.class_of_label[label] != kUnscored, label < 182) << label;
  }
}

TEST(CocoStuff27, GroupsTheLabelsAsPiCIE) {
  // The sizes of its 27 groups, and some labels by their names in COCO-Stuff's own list.
  const auto scheme = coco_stuff_27();
  std::vector<int> sizes(27, 0);
  for (std::size_t label = 0; label < 182; ++label) ++sizes[scheme.class_of_label[label]];
  EXPECT_EQ(sizes, (std::vector<int>{6, 6,  10, 10, 8, 8, 8, 10, 6, 1, 10, 8, 2, 6,
                                     4, 11, 4,  11, 7, 2, 6, 11, 9, 2, 6,  5, 5}));
  const auto class_name = [&](std::size_t label) {
    return scheme.classes[scheme.class_of_label[label]];
  };
  EXPECT_EQ(class_name(0), "person");            // person
  EXPECT_EQ(class_name(2), "vehicle");           // car
  EXPECT_EQ(class_name(16), "animal");           // cat
  EXPECT_EQ(class_name(51), "food thing");       // banana
  EXPECT_EQ(class_name(61), "furniture thing");  // chair
  EXPECT_EQ(class_name(72), "electronic");       // laptop
  EXPECT_EQ(class_name(105), "sky");             // clouds
  EXPECT_EQ(class_name(123), "plant");           // grass
  EXPECT_EQ(class_name(148), "ground");          // road
  EXPECT_EQ(class_name(154), "water");           // sea
  EXPECT_EQ(class_name(156), "sky");             // sky-other
  EXPECT_EQ(class_name(168), "plant");           // tree
  EXPECT_EQ(class_name(179), "window");          // window-blind
  EXPECT_EQ(class_name(181), "solid");           // wood
}

TEST(Cityscapes, HasTheClassesOfTheBenchmarkAndAllOfThem) {
  const auto benchmark = labels_of_classes(cityscapes_19());
  EXPECT_EQ(benchmark.size(), 19U);
  EXPECT_EQ(benchmark.at("road"), (Labels{7}));
  EXPECT_EQ(benchmark.at("pole"), (Labels{17}));
  EXPECT_EQ(benchmark.at("sky"), (Labels{23}));
  EXPECT_EQ(benchmark.at("bus"), (Labels{28}));
  EXPECT_EQ(benchmark.at("train"), (Labels{31}));
  EXPECT_EQ(benchmark.at("bicycle"), (Labels{33}));

  const auto all = labels_of_classes(cityscapes_27());
  EXPECT_EQ(all.size(), 27U);
  for (const auto& [name, labels] : benchmark) EXPECT_EQ(all.at(name), labels) << name;
  EXPECT_EQ(all.at("rail track"), (Labels{10}));
  EXPECT_EQ(all.at("caravan"), (Labels{29}));
}

TEST(PascalVoc, KeepsItsNumbersAndLeavesOutTheOutlines) {
  LabelMap map(1, 4);
  map.labels = {0, 15, 20, 255};
  EXPECT_EQ(pascal_voc_21().apply(map), map);
  map.labels = {21, 254, 22, 255};
  EXPECT_EQ(pascal_voc_21().apply(map).labels,
            (std::vector<std::uint8_t>{kUnscored, kUnscored, kUnscored, kUnscored}));
  EXPECT_EQ(pascal_voc_21().classes.size(), 21U);
  EXPECT_EQ(pascal_voc_21().classes[15], "person");
}

}  // namespace
