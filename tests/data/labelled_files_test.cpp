#include <gtest/gtest.h>
#include <slotcon/data/labelled_files.h>
#include <slotcon/data/labelled_images.h>
#include <slotcon/data/resize.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::cityscapes_files;
using slotcon::data::coco_stuff_files;
using slotcon::data::Image;
using slotcon::data::labelled_folders;
using slotcon::data::LabelledFile;
using slotcon::data::LabelMap;
using slotcon::data::load_labelled_images;
using slotcon::data::pascal_voc_files;
using slotcon::data::write_png;
using Names = std::vector<std::string>;

/// Name, image and label map of each pair, the paths below the folder.
Names pairs(const TemporaryFolder& folder, const std::vector<LabelledFile>& files) {
  const auto below = [&](const std::string& path) { return path.substr(folder.path().size() + 1); };
  Names names;
  for (const auto& file : files) {
    names.push_back(file.name + ": " + below(file.image) + " + " + below(file.labels));
  }
  return names;
}

void touch(const TemporaryFolder& folder, const Names& names) {
  for (const auto& name : names) folder.write(name, "");
}

TEST(LabelledFolders, PairsEqualNamesInAllFoldersBelow) {
  const TemporaryFolder folder;
  touch(folder, {"x/b.jpg", "x/sub/a.JPEG", "x/notes.txt", "y/b.png", "y/sub/a.png", "y/more.png"});
  EXPECT_EQ(pairs(folder, labelled_folders(folder.path("x"), folder.path("y"))),
            (Names{"b.jpg: x/b.jpg + y/b.png", "sub/a.JPEG: x/sub/a.JPEG + y/sub/a.png"}));
}

TEST(LabelledFolders, RefuseAPartOfASet) {
  const TemporaryFolder folder;
  touch(folder, {"x/a.jpg", "x/b.jpg", "y/a.png"});
  EXPECT_EQ(
      error_of<std::runtime_error>([&] { labelled_folders(folder.path("x"), folder.path("y")); }),
      "labelled_folders: expected '" + folder.path("y/b.png") + "' beside '" +
          folder.path("x/b.jpg") + "', found none");
  EXPECT_EQ(error_of<std::invalid_argument>(
                [&] { labelled_folders(folder.path("x"), folder.path("z")); }),
            "labelled_folders: expected a folder, got '" + folder.path("z") + "'");
}

TEST(CocoStuffFiles, AreFoundInBothLayouts) {
  const TemporaryFolder folder;
  touch(folder, {"images/val2017/000000000139.jpg", "images/val2017/000000000285.jpg",
                 "annotations/val2017/000000000139.png", "annotations/val2017/000000000285.png",
                 "train2017/7.jpg", "stuffthingmaps/train2017/7.png"});
  EXPECT_EQ(pairs(folder, coco_stuff_files(folder.path(), "val2017")),
            (Names{"000000000139.jpg: images/val2017/000000000139.jpg + "
                   "annotations/val2017/000000000139.png",
                   "000000000285.jpg: images/val2017/000000000285.jpg + "
                   "annotations/val2017/000000000285.png"}));
  EXPECT_EQ(pairs(folder, coco_stuff_files(folder.path(), "train2017")),
            (Names{"7.jpg: train2017/7.jpg + stuffthingmaps/train2017/7.png"}));
}

TEST(CocoStuffFiles, CanBeThoseOfAList) {
  const TemporaryFolder folder;
  touch(folder, {"val2017/1.jpg", "val2017/2.jpg", "val2017/3.jpg", "annotations/val2017/1.png",
                 "annotations/val2017/3.png"});
  const auto list = folder.write("curated.txt", "3\n\n1\r\n");
  EXPECT_EQ(pairs(folder, coco_stuff_files(folder.path(), "val2017", list)),
            (Names{"3.jpg: val2017/3.jpg + annotations/val2017/3.png",
                   "1.jpg: val2017/1.jpg + annotations/val2017/1.png"}));
  const auto longer = folder.write("longer.txt", "4\n");
  EXPECT_EQ(
      error_of<std::runtime_error>([&] { coco_stuff_files(folder.path(), "val2017", longer); }),
      "coco_stuff_files: expected '" + folder.path("val2017/4.jpg") + "' beside '" +
          folder.path("annotations/val2017/4.png") + "', found none");
}

TEST(CocoStuffFiles, SayWhichFoldersWereLookedFor) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of<std::invalid_argument>([&] { coco_stuff_files(folder.path(), "val2017"); }),
            "coco_stuff_files: expected a folder '" + folder.path("images/val2017") + "' or '" +
                folder.path("val2017") + "', found neither");
}

TEST(PascalVocFiles, AreThoseOfTheSplit) {
  const TemporaryFolder folder;
  touch(folder,
        {"JPEGImages/2007_000033.jpg", "JPEGImages/2007_000042.jpg", "JPEGImages/2007_000099.jpg",
         "SegmentationClass/2007_000033.png", "SegmentationClass/2007_000042.png"});
  folder.write("ImageSets/Segmentation/val.txt", "2007_000033\n2007_000042\n");
  EXPECT_EQ(
      pairs(folder, pascal_voc_files(folder.path(), "val")),
      (Names{"2007_000033.jpg: JPEGImages/2007_000033.jpg + SegmentationClass/2007_000033.png",
             "2007_000042.jpg: JPEGImages/2007_000042.jpg + SegmentationClass/2007_000042.png"}));
  const auto list = folder.path("ImageSets/Segmentation/train.txt");
  EXPECT_EQ(error_of<std::runtime_error>([&] { pascal_voc_files(folder.path(), "train"); }),
            "pascal_voc_files: cannot open the list '" + list + "'");
}

TEST(CityscapesFiles, PairByCityAndFrame) {
  const TemporaryFolder folder;
  touch(folder, {"leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png",
                 "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png",
                 "gtFine/val/lindau/lindau_000000_000019_gtFine_color.png"});
  EXPECT_EQ(pairs(folder, cityscapes_files(folder.path(), "val")),
            (Names{"lindau/lindau_000000_000019_leftImg8bit.png: "
                   "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png + "
                   "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png"}));
  touch(folder, {"leftImg8bit/val/x.png"});
  EXPECT_EQ(error_of<std::runtime_error>([&] { cityscapes_files(folder.path(), "val"); }),
            "cityscapes_files: expected a name that ends in _leftImg8bit.png, got '" +
                folder.path("leftImg8bit/val/x.png") + "'");
}

TEST(LoadLabelledImages, PreparesEachPair) {
  const TemporaryFolder folder;
  Image image(2, 3);
  image.pixels[4] = 200;
  LabelMap labels(2, 3);
  labels.labels = {1, 2, 3, 4, 5, 255};
  touch(folder, {"x/a.png", "y/a.png"});
  write_png(folder.path("x/a.png"), image);
  write_png(folder.path("y/a.png"), labels);
  const auto files = labelled_folders(folder.path("x"), folder.path("y"));

  const auto whole = load_labelled_images(files);
  ASSERT_EQ(whole.names, (Names{"a.png"}));
  EXPECT_EQ(whole.images[0], image);
  EXPECT_EQ(whole.labels[0], labels);

  const auto prepared = load_labelled_images(files, [](Image& i, LabelMap& l) {
    i = slotcon::data::center_crop(i, 2, 1);
    l = slotcon::data::center_crop(l, 2, 1);
  });
  EXPECT_EQ(prepared.images[0].pixels, (std::vector<std::uint8_t>{0, 200, 0, 0, 0, 0}));
  EXPECT_EQ(prepared.labels[0].labels, (std::vector<std::uint8_t>{2, 5}));
}

TEST(LoadLabelledImages, RefusesAMapOfAnotherSize) {
  const TemporaryFolder folder;
  touch(folder, {"a.png", "b.png"});
  write_png(folder.path("a.png"), Image(2, 3));
  write_png(folder.path("b.png"), LabelMap(3, 2));
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              load_labelled_images({{"a", folder.path("a.png"), folder.path("b.png")}});
            }),
            "load_labelled_images: expected '" + folder.path("b.png") +
                "' to be 3x2 like its image, got 2x3");
}

}  // namespace
