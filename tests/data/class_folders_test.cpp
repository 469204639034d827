#include <gtest/gtest.h>
#include <slotcon/data/class_folders.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::list_class_folders;

TEST(ClassFolders, NumberTheClassesByTheirSortedNames) {
  const TemporaryFolder folder;
  for (const auto* name : {"dog/2.jpg", "dog/1.png", "cat/deep/3.jpeg", "cat/notes.txt", "x.jpg"}) {
    folder.write(name, "");
  }
  const auto set = list_class_folders(folder.path());
  EXPECT_EQ(set.names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(set.paths,
            (std::vector<std::string>{folder.path("cat/deep/3.jpeg"), folder.path("dog/1.png"),
                                      folder.path("dog/2.jpg")}));
  EXPECT_EQ(set.classes, (std::vector<std::int64_t>{0, 1, 1}));
}

TEST(ClassFolders, RefuseASingleClassAndAnEmptyOne) {
  const TemporaryFolder folder;
  folder.write("cat/1.jpg", "");
  EXPECT_EQ(error_of<std::invalid_argument>([&] { list_class_folders(folder.path()); }),
            "list_class_folders: expected a folder with a folder of images for each class, got '" +
                folder.path() + "' with 1");
  folder.write("dog/notes.txt", "");
  EXPECT_EQ(error_of<std::runtime_error>([&] { list_class_folders(folder.path()); }),
            "list_images: expected *.jpg, *.jpeg or *.png files under '" + folder.path("dog") +
                "', found none");
}

}  // namespace
