#include <gtest/gtest.h>
#include <slotcon/eval/cluster_baselines.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/eval/hashed.h"
#include "tests/support/error_text.h"

using slotcon::data::Image;
using slotcon::data::LabelMap;
using slotcon::eval::Baseline;
using slotcon::eval::BaselineOptions;
using slotcon::eval::cluster_baselines;

namespace {

enum Row { kOneCluster, kColor, kPosition, kColorPosition, kColorTexture };

struct Set {
  std::vector<Image> images;
  std::vector<LabelMap> labels;
};

/// `count` images 20 x 20, drawn pixel by pixel by draw(image, y, x, pixel, label).
template <class Draw>
Set make_set(int count, Draw draw) {
  Set set;
  for (int i = 0; i < count; ++i) {
    Image image(20, 20);
    LabelMap labels(20, 20);
    for (int y = 0; y < 20; ++y) {
      for (int x = 0; x < 20; ++x) draw(i, y, x, image.at(y, x), labels.at(y, x));
    }
    set.images.push_back(image);
    set.labels.push_back(labels);
  }
  return set;
}

std::uint8_t noise(int image, int y, int x, int channel) {
  const int index = ((image * 20 + y) * 20 + x) * 3 + channel;
  return static_cast<std::uint8_t>(hashed(static_cast<std::uint32_t>(index)) % 256);
}

/// Three colours strewn without order: only the colour tells the class.
Set colored_set() {
  return make_set(3, [](int i, int y, int x, std::uint8_t* pixel, std::uint8_t& label) {
    label = noise(i, y, x, 0) % 3;
    for (int channel = 0; channel < 3; ++channel) {
      pixel[channel] =
          static_cast<std::uint8_t>((channel == label ? 220 : 40) + noise(i, y, x, channel) % 20);
    }
  });
}

/// Colours without order on quarters: only the place tells the class.
Set placed_set() {
  return make_set(3, [](int i, int y, int x, std::uint8_t* pixel, std::uint8_t& label) {
    label = static_cast<std::uint8_t>(2 * (y / 10) + x / 10);
    for (int channel = 0; channel < 3; ++channel) pixel[channel] = noise(i, y, x, channel);
  });
}

/// A gray half and a half of black and white pixels, on the left or on the right.
Set textured_set() {
  return make_set(4, [](int i, int y, int x, std::uint8_t* pixel, std::uint8_t& label) {
    label = (x < 10) == (i % 2 == 0) ? 1 : 0;
    const int value = label == 0 ? 128 : 255 * ((x + y) % 2);
    for (int channel = 0; channel < 3; ++channel) pixel[channel] = static_cast<std::uint8_t>(value);
  });
}

}  // namespace

TEST(ClusterBaselines, AreTheRowsOfATable) {
  const Set set = colored_set();
  std::vector<std::string> names;
  for (const Baseline& row : cluster_baselines(set.images, set.labels, BaselineOptions(3, 3))) {
    names.push_back(row.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"one cluster", "k-means RGB", "k-means x,y",
                                             "k-means RGB+x,y", "k-means RGB 9x9 mean+std"}));
}

TEST(ClusterBaselines, SolveByColourWhatOnlyColourDecides) {
  const Set set = colored_set();
  const auto rows = cluster_baselines(set.images, set.labels, BaselineOptions(3, 3));
  EXPECT_EQ(rows[kColor].one_to_one.mean_iou, 1.0);
  EXPECT_EQ(rows[kColor].majority.pixel_accuracy, 1.0);
  EXPECT_LT(rows[kPosition].one_to_one.mean_iou, 0.35);
}

TEST(ClusterBaselines, SolveByPlaceWhatOnlyPlaceDecides) {
  const Set set = placed_set();
  const auto rows = cluster_baselines(set.images, set.labels, BaselineOptions(4, 4));
  EXPECT_GT(rows[kPosition].one_to_one.mean_iou, 0.95);
  EXPECT_LT(rows[kColor].one_to_one.mean_iou, 0.3);
}

TEST(ClusterBaselines, SolveByTextureWhatOnlyTextureDecides) {
  const Set set = textured_set();
  const auto rows = cluster_baselines(set.images, set.labels, BaselineOptions(2, 2));
  EXPECT_GT(rows[kColorTexture].one_to_one.mean_iou, 0.8);
  EXPECT_LT(rows[kPosition].one_to_one.mean_iou, 0.4);
}

TEST(ClusterBaselines, OfOneClusterHaveTheShareOfTheLargestClass) {
  const Set set = colored_set();
  std::vector<double> counts(3, 0.0);
  for (const LabelMap& map : set.labels) {
    for (const std::uint8_t label : map.labels) counts[label] += 1;
  }
  const double share = std::max({counts[0], counts[1], counts[2]}) / 1200.0;
  const auto rows = cluster_baselines(set.images, set.labels, BaselineOptions(3, 3));
  EXPECT_DOUBLE_EQ(rows[kOneCluster].one_to_one.mean_iou, share / 3);
  EXPECT_DOUBLE_EQ(rows[kOneCluster].one_to_one.pixel_accuracy, share);
  EXPECT_DOUBLE_EQ(rows[kOneCluster].majority.mean_iou, share / 3);
}

TEST(ClusterBaselines, DoNotScoreIgnoredLabels) {
  Set set = colored_set();
  for (LabelMap& map : set.labels) {
    for (std::size_t i = 0; i < map.labels.size(); i += 5) map.labels[i] = 200;
  }
  const auto options = BaselineOptions(3, 3).ignore_label(200);
  const auto rows = cluster_baselines(set.images, set.labels, options);
  EXPECT_EQ(rows[kColor].one_to_one.mean_iou, 1.0);
  EXPECT_EQ(rows[kColor].one_to_one.pixel_accuracy, 1.0);
}

TEST(ClusterBaselines, TakeMoreClustersThanClassesAndImagesOfAnySize) {
  Set set = placed_set();
  set.images.push_back(hashed_image(7, 30));
  set.labels.emplace_back(7, 30);
  const auto rows = cluster_baselines(set.images, set.labels, BaselineOptions(9, 4));
  EXPECT_EQ(rows[kColor].one_to_one.class_of_cluster.size(), 9u);
  EXPECT_GT(rows[kPosition].majority.mean_iou, rows[kPosition].one_to_one.mean_iou);
}

TEST(ClusterBaselines, DependOnTheirSeedOnly) {
  const Set set = placed_set();
  const auto options = BaselineOptions(7, 4).seed(2);
  const auto first = cluster_baselines(set.images, set.labels, options);
  const auto again = cluster_baselines(set.images, set.labels, options);
  const auto other = cluster_baselines(set.images, set.labels, BaselineOptions(7, 4).seed(3));
  EXPECT_EQ(first[kColorPosition].one_to_one.class_iou, again[kColorPosition].one_to_one.class_iou);
  EXPECT_NE(first[kColorPosition].one_to_one.class_iou, other[kColorPosition].one_to_one.class_iou);
}

TEST(ClusterBaselines, SayWhatIsWrong) {
  const Set set = colored_set();
  const auto text = [](const std::vector<Image>& images, const std::vector<LabelMap>& labels) {
    return error_text<c10::ValueError>(
        [&] { cluster_baselines(images, labels, BaselineOptions(3, 3)); });
  };
  EXPECT_EQ(text({}, {}), "cluster_baselines: expected images and as many label maps, got 0 and 0");
  EXPECT_EQ(text(set.images, {set.labels[0]}),
            "cluster_baselines: expected images and as many label maps, got 3 and 1");
  EXPECT_EQ(text({set.images[0], Image(4, 5)}, {set.labels[0], LabelMap(5, 4)}),
            "cluster_baselines: expected label map 1 of the size of its image, 4 x 5, got 5 x 4");
  EXPECT_EQ(text({Image(1, 2)}, {LabelMap(1, 2)}),
            "fit_kmeans: expected at least as many points as clusters, 3, got 2");
}
