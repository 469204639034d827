#include <gtest/gtest.h>
#include <slotcon/data/image_file.h>
#include <slotcon/data/random.h>

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.h"

namespace {

using slotcon::data::encode_png;
using slotcon::data::Image;
using slotcon::data::LabelMap;
using slotcon::data::read_image;
using slotcon::data::read_label_map;
using slotcon::data::write_png;
using Bytes = std::vector<std::uint8_t>;

std::string file_fixture(const std::string& name) { return fixture_path("files/" + name); }

/// Sets the height and width in the header of a PNG file, with the right checksum.
Bytes with_png_size(Bytes png, std::uint32_t height, std::uint32_t width) {
  const auto store = [&](std::size_t place, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i)
      png[place + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  };
  store(16, width);
  store(20, height);
  std::uint32_t crc = ~0u;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  store(29, ~crc);
  return png;
}

/// Sets the height and width in the frame header of a baseline JPEG file.
Bytes with_jpeg_size(Bytes jpeg, std::uint16_t height, std::uint16_t width) {
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC0) continue;
    jpeg[i + 5] = static_cast<std::uint8_t>(height >> 8);
    jpeg[i + 6] = static_cast<std::uint8_t>(height & 255);
    jpeg[i + 7] = static_cast<std::uint8_t>(width >> 8);
    jpeg[i + 8] = static_cast<std::uint8_t>(width & 255);
    return jpeg;
  }
  ADD_FAILURE() << "no frame header";
  return jpeg;
}

TEST(ReadImage, DecodesEveryKindOfFileAsPillowDoes) {
  for (auto& line : fixture_lines("image_files.txt")) {
    std::string name, hash;
    int height = 0, width = 0;
    line >> name >> height >> width >> hash;
    const Image image = read_image(file_fixture(name));
    EXPECT_EQ(image.height, height) << name;
    EXPECT_EQ(image.width, width) << name;
    EXPECT_EQ(fnv1a(image.pixels), hash) << name;
  }
}

// The one difference from Pillow, whose conversion clips the samples of 16-bit gray to 255.
TEST(ReadImage, KeepsTheHighByteOf16BitGray) {
  const Image gray = read_image(file_fixture("gray16.png"));
  const Image rgb = read_image(file_fixture("rgb8.png"));  // its green samples are the high bytes
  ASSERT_EQ(gray.pixels.size(), rgb.pixels.size());
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3) {
    ASSERT_EQ(gray.pixels[i], rgb.pixels[i + 1]);
    ASSERT_EQ(gray.pixels[i + 1], rgb.pixels[i + 1]);
    ASSERT_EQ(gray.pixels[i + 2], rgb.pixels[i + 1]);
  }
}

TEST(ReadImage, GoesByTheContentAndNotByTheName) {
  const TemporaryFolder folder;
  const auto disguised = folder.write("photo.jpg", file_content(file_fixture("rgb8.png")));
  EXPECT_EQ(read_image(disguised), read_image(file_fixture("rgb8.png")));
}

TEST(ReadImage, NamesMissingAndForeignFiles) {
  const TemporaryFolder folder;
  const auto text = folder.write("x.txt", "hello"), empty = folder.write("empty.png", "");
  const auto error = [](const std::string& path) {
    return error_of<std::runtime_error>([&] { read_image(path); });
  };
  EXPECT_EQ(error(folder.path("no.png")),
            "read_image: cannot read '" + folder.path("no.png") + "': there is no such file");
  EXPECT_EQ(error(folder.path()),
            "read_image: cannot read '" + folder.path() + "': it is not a regular file");
  EXPECT_EQ(error(text), "read_image: expected a JPEG or PNG file, got '" + text + "'");
  EXPECT_EQ(error(empty), "read_image: expected a JPEG or PNG file, got '" + empty + "'");
}

TEST(ReadImage, RefusesTruncatedFilesOfEveryLength) {
  const TemporaryFolder folder;
  for (const std::string name :
       {"420.jpg", "progressive.jpg", "rgb8.png", "palette8_interlaced.png"}) {
    const Bytes whole = file_content(file_fixture(name));
    for (std::size_t length = 10; length < whole.size(); length += 97) {
      const auto path = folder.write(
          "cut", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
      const auto error = error_of<std::runtime_error>([&] { read_image(path); });
      EXPECT_EQ(error.find("read_image: cannot decode '" + path + "': "), 0u)
          << name << ' ' << error;
    }
  }
}

TEST(ReadImage, SaysWhatIsWrongWithABrokenFile) {
  const TemporaryFolder folder;
  const auto error = [&](const Bytes& bytes) {
    const auto path = folder.write("broken", bytes);
    const auto text = error_of<std::runtime_error>([&] { read_image(path); });
    const auto start = "read_image: cannot decode '" + path + "': ";
    return text.find(start) == 0 ? text.substr(start.size()) : "unexpected start: " + text;
  };
  const Bytes jpeg = file_content(file_fixture("420.jpg")),
              png = file_content(file_fixture("rgb8.png"));

  EXPECT_EQ(error(Bytes(png.begin(), png.begin() + 200)), "the file ends too early");
  EXPECT_EQ(error(Bytes(jpeg.begin(), jpeg.end() - 100)), "Premature end of JPEG file");
  EXPECT_EQ(error(with_jpeg_size(jpeg, 60000, 60000)),
            "it has 60000 x 60000 pixels, more than the limit of 134217728");
  EXPECT_EQ(error(with_png_size(png, 1000000, 500000)),
            "it has 1000000 x 500000 pixels, more than the limit of 134217728");
  EXPECT_EQ(error(with_png_size(png, 0, 45)), "Invalid IHDR data");
  Bytes damaged = png;
  damaged[damaged.size() - 13] ^= 1;  // the checksum of the pixels, before the last chunk
  EXPECT_EQ(error(damaged), "IDAT: CRC error");
}

// Damage must never crash the process or leak; most of it must be an exception with the file's
// name, the rest decodes to an image of some kind.
TEST(ReadImage, SurvivesRandomDamage) {
  const TemporaryFolder folder;
  slotcon::data::Random random(4);
  int decoded = 0, refused = 0;
  for (auto& line : fixture_lines("image_files.txt")) {
    std::string name;
    line >> name;
    const Bytes whole = file_content(file_fixture(name));
    for (int trial = 0; trial < 20; ++trial) {
      Bytes bytes = whole;
      const int hits = random.integer(1, 8);
      for (int hit = 0; hit < hits; ++hit) {
        const auto place = static_cast<std::size_t>(random.below(bytes.size()));
        bytes[place] = static_cast<std::uint8_t>(random.below(256));
      }
      const auto path = folder.write(std::to_string(decoded + refused), bytes);
      try {
        const Image image = read_image(path);
        EXPECT_EQ(image.pixels.size(), 3u * static_cast<std::size_t>(image.height * image.width));
        ++decoded;
      } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(decoded, 0);
  EXPECT_GT(refused, decoded / 4);
}

TEST(ReadLabelMap, ReadsRawSamplesOfGrayAndPaletteFiles) {
  for (auto& line : fixture_lines("label_maps.txt")) {
    std::string name, hash;
    int height = 0, width = 0;
    line >> name >> height >> width >> hash;
    const LabelMap map = read_label_map(file_fixture(name));
    EXPECT_EQ(map.height, height) << name;
    EXPECT_EQ(map.width, width) << name;
    EXPECT_EQ(fnv1a(map.labels), hash) << name;
  }
}

TEST(ReadLabelMap, RefusesFilesWithoutLabels) {
  const auto error = [](const std::string& path) {
    return error_of<std::runtime_error>([&] { read_label_map(path); });
  };
  const auto path = [](const std::string& name) { return "'" + file_fixture(name) + "'"; };
  EXPECT_EQ(error(file_fixture("420.jpg")),
            "read_label_map: expected a PNG file, got " + path("420.jpg"));
  EXPECT_EQ(
      error(file_fixture("rgb8.png")),
      "read_label_map: cannot decode " + path("rgb8.png") +
          ": expected a gray or palette image of at most 8 bits, got 8 bits a colour channel");
  EXPECT_EQ(error(file_fixture("gray16.png")),
            "read_label_map: cannot decode " + path("gray16.png") +
                ": expected a gray or palette image of at most 8 bits, got 16 bits");
  EXPECT_EQ(error("/no/such.png"),
            "read_label_map: cannot read '/no/such.png': there is no such file");
}

TEST(WritePng, IsReadBackBitByBit) {
  const TemporaryFolder folder;
  Image image(5, 7);
  LabelMap map(5, 7);
  slotcon::data::Random random(2);
  for (auto& sample : image.pixels) sample = static_cast<std::uint8_t>(random.below(256));
  for (auto& label : map.labels) label = static_cast<std::uint8_t>(random.below(256));
  write_png(folder.path("image.png"), image);
  write_png(folder.path("map.png"), map);
  EXPECT_EQ(read_image(folder.path("image.png")), image);
  EXPECT_EQ(read_label_map(folder.path("map.png")), map);
}

TEST(EncodePng, GivesTheBytesOfTheFile) {
  const TemporaryFolder folder;
  Image image(5, 7);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 37);
  }
  write_png(folder.path("image.png"), image);
  EXPECT_EQ(encode_png(image), slotcon::data::detail::read_file("test", folder.path("image.png")));
  EXPECT_EQ(error_of<std::invalid_argument>([] { encode_png(Image()); }),
            "encode_png: expected a positive height and width, got 0 x 0");
}

TEST(EncodePng, DeflatesWhatRepeats) {
  EXPECT_LT(encode_png(Image(100, 100)).size(), 1000U);  // of 30,000
}

TEST(WritePng, SaysWhyItCannotWrite) {
  EXPECT_EQ(error_of<std::runtime_error>([] { write_png("/no/such/x.png", Image(1, 1)); }),
            "write_png: cannot write '/no/such/x.png': it cannot be opened for writing");
  EXPECT_EQ(error_of<std::runtime_error>([] { write_png("x.png", Image()); }),
            "write_png: cannot write 'x.png': the image has no pixels");
}

}  // namespace
