#include <gtest/gtest.h>
#include <slotcon/data/image_folder.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::Image;
using slotcon::data::ImageFolder;
using slotcon::data::list_images;
using slotcon::data::read_image;
using Paths = std::vector<std::string>;

std::vector<std::uint8_t> photo_bytes() { return file_content(fixture_path("files/420.jpg")); }
std::vector<std::uint8_t> other_bytes() { return file_content(fixture_path("files/rgb8.png")); }

TEST(ListImages, SearchesFoldersInSortedOrder) {
  const TemporaryFolder folder;
  for (const auto* name :
       {"b.JPG", "a.png", "sub/deep/c.jpeg", "sub/d.PnG", "notes.txt", "e.gif"}) {
    folder.write(name, "");
  }
  EXPECT_EQ(list_images(folder.path()),
            (Paths{folder.path("a.png"), folder.path("b.JPG"), folder.path("sub/d.PnG"),
                   folder.path("sub/deep/c.jpeg")}));
}

TEST(ListImages, ReadsListsInTheirOrder) {
  const TemporaryFolder folder;
  const auto list = folder.write("lists/train.txt",
                                 "# a comment\n\nz.jpg\r\n  ../a b.png  \n/absolute/c.jpeg\n \t\n");
  EXPECT_EQ(list_images(list), (Paths{folder.path("lists/z.jpg"), folder.path("lists/../a b.png"),
                                      "/absolute/c.jpeg"}));
}

TEST(ListImages, SaysWhatItSearchedFor) {
  const TemporaryFolder folder;
  const auto empty_list = folder.write("empty.TXT", "# nothing\n");
  const auto foreign = folder.write("photo.gif", "");
  const auto error = [](const std::string& path) {
    return error_of<std::runtime_error>([&] { list_images(path); });
  };
  EXPECT_EQ(error(folder.path()), "list_images: expected *.jpg, *.jpeg or *.png files under '" +
                                      folder.path() + "', found none");
  EXPECT_EQ(error(empty_list),
            "list_images: expected one path a line in the list '" + empty_list + "', found none");
  EXPECT_EQ(error(foreign),
            "list_images: expected a folder of images or a list (*.txt), got '" + foreign + "'");
  EXPECT_EQ(error("/no/such"),
            "list_images: expected a folder of images or a list (*.txt), but '/no/such' does not "
            "exist");
}

TEST(ImageFolder, LoadsTheListedImages) {
  const TemporaryFolder folder;
  folder.write("1.jpg", photo_bytes());
  folder.write("2.png", other_bytes());
  const ImageFolder images(folder.path());
  ASSERT_EQ(images.size(), 2);
  EXPECT_EQ(images.paths().front(), folder.path("1.jpg"));
  EXPECT_EQ(images.load(0), read_image(folder.path("1.jpg")));
  EXPECT_EQ(images.load(1), read_image(folder.path("2.png")));
  EXPECT_EQ(error_of<std::out_of_range>([&] { images.load(2); }),
            "ImageFolder: expected an index in 0 ... 1, got 2");
  EXPECT_THROW(images.load(-1), std::out_of_range);
}

TEST(ImageFolder, ReplacesBrokenFilesByTheNextAndReportsThemOnce) {
  const TemporaryFolder folder;
  folder.write("1.jpg", photo_bytes());
  folder.write("2.jpg", "broken");
  folder.write("3.png", other_bytes());
  folder.write("4.png", "broken too");
  Paths reports;
  const ImageFolder images(folder.path(),
                           [&](const std::string& line) { reports.push_back(line); });
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(images.load(1), read_image(folder.path("3.png")));
    EXPECT_EQ(images.load(3), read_image(folder.path("1.jpg")));  // around the end
  }
  EXPECT_EQ(reports,
            (Paths{"read_image: expected a JPEG or PNG file, got '" + folder.path("2.jpg") +
                       "'; the next readable image stands in for it",
                   "read_image: expected a JPEG or PNG file, got '" + folder.path("4.png") +
                       "'; the next readable image stands in for it"}));
}

TEST(ImageFolder, ReportsOnceFromManyThreads) {
  const TemporaryFolder folder;
  folder.write("1.jpg", "broken");
  folder.write("2.jpg", photo_bytes());
  int reports = 0;
  const ImageFolder images(folder.path(), [&](const std::string&) { ++reports; });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) images.load(0);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(reports, 1);
}

TEST(ImageFolder, FailsWhenNothingCanBeRead) {
  const TemporaryFolder folder;
  const auto first = folder.write("1.jpg", "broken"), second = folder.write("2.jpg", "");
  const ImageFolder images(Paths{first, second}, [](const std::string&) {});
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(error_of<std::runtime_error>([&] { images.load(1); }),
              "ImageFolder: none of the 2 files can be read; the first is '" + first + "'");
  }
  EXPECT_EQ(error_of<std::invalid_argument>([] { ImageFolder(Paths{}); }),
            "ImageFolder: expected paths, got none");
}

}  // namespace
