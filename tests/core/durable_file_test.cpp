#include <gtest/gtest.h>
#include <slotcon/core/durable_file.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>

#include "tests/support/error_text.h"

namespace {

namespace fs = std::filesystem;

/// A folder that goes with the test.
class DurableFile : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  std::string content() const {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }

  const fs::path folder =
      fs::temp_directory_path() / ("slotcon_durable_file_" + std::to_string(::getpid()));
  const fs::path file = folder / "file", unfinished = folder / "file.part";
};

TEST_F(DurableFile, HasWhatWasWrittenInPiecesOfAnySize) {
  std::string expected;
  slotcon::write_durably("test", file, [&](std::ostream& out) {
    for (const std::size_t size : {1, 0, 70'000, 3, 65'535, 65'536, 65'537, 40'000, 40'000}) {
      const std::string piece(size, static_cast<char>('a' + size % 26));
      expected += piece;
      out << piece;
    }
    out.put('z');
  });
  EXPECT_TRUE(content() == expected + 'z');
  EXPECT_EQ(files(), 1U);
}

TEST_F(DurableFile, WritesOverTheLeftoversOfAKilledWrite) {
  std::ofstream(unfinished) << std::string(100, 'x');
  slotcon::write_durably("test", file, [](std::ostream& out) { out << "new"; });
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(files(), 1U);
}

TEST_F(DurableFile, StaysAsItIsWhenTheDiskIsFull) {
  std::ofstream(file) << "old";
  for (const std::size_t size : {10, 1'000'000}) {  // fails at the end, or while writing
    fs::create_symlink("/dev/full", unfinished);
    EXPECT_EQ(error_text<std::runtime_error>([&] {
                slotcon::write_durably("test", file,
                                       [&](std::ostream& out) { out << std::string(size, 'x'); });
              }),
              "test: cannot write '" + file.string() + "': No space left on device");
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(files(), 1U);
  }
}

TEST_F(DurableFile, StaysAsItIsWhenTheWriterThrows) {
  std::ofstream(file) << "old";
  EXPECT_EQ(error_text<std::invalid_argument>([&] {
              slotcon::write_durably("test", file, [](std::ostream& out) {
                out << "new";
                throw std::invalid_argument("reason");
              });
            }),
            "reason");
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1U);
}

}  // namespace
