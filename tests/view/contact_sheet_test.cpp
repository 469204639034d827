#include <gtest/gtest.h>
#include <slotcon/view/contact_sheet.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/view/picture.h"

using slotcon::data::Image;
using slotcon::view::Color;
using slotcon::view::contact_sheet;
using slotcon::view::ContactSheetOptions;

namespace {

/// One letter a pixel: r, g, b, white as '.', black as '#'.
std::vector<std::string> drawing(const Image& image) {
  const std::map<Color, char> letters{{{255, 0, 0}, 'r'},
                                      {{0, 255, 0}, 'g'},
                                      {{0, 0, 255}, 'b'},
                                      {{255, 255, 255}, '.'},
                                      {{0, 0, 0}, '#'}};
  std::vector<std::string> rows;
  for (int y = 0; y < image.height; ++y) {
    std::string& row = rows.emplace_back();
    for (int x = 0; x < image.width; ++x) {
      const auto* const pixel = image.at(y, x);
      row += letters.at({pixel[0], pixel[1], pixel[2]});
    }
  }
  return rows;
}

const Color kRed{255, 0, 0}, kGreen{0, 255, 0}, kBlue{0, 0, 255};

using Drawing = std::vector<std::string>;

}  // namespace

TEST(ContactSheet, PutsGapsBetweenAndAroundCells) {
  const Image sheet = contact_sheet({{filled(1, 2, kRed), filled(1, 1, kGreen)}}, {1});
  EXPECT_EQ(drawing(sheet), (Drawing{"......", ".rr.g.", "......"}));
}

TEST(ContactSheet, CentresImagesOfUnequalSize) {
  const Image sheet = contact_sheet(
      {{filled(3, 1, kRed), filled(1, 4, kGreen)}, {filled(1, 3, kBlue), filled(2, 1, kRed)}}, {0});
  EXPECT_EQ(drawing(sheet), (Drawing{".r.....", ".r.gggg", ".r.....", "bbb.r..", "....r.."}));
}

TEST(ContactSheet, LeavesMissingCellsEmpty) {
  const Image sheet =
      contact_sheet({{filled(1, 1, kRed)}, {}, {Image(), filled(1, 2, kGreen)}}, {0});
  EXPECT_EQ(drawing(sheet), (Drawing{"r..", ".gg"}));
}

TEST(ContactSheet, MagnifiesPixelsToSquares) {
  Image image(1, 2);
  std::copy(kRed.begin(), kRed.end(), image.at(0, 0));
  std::copy(kBlue.begin(), kBlue.end(), image.at(0, 1));
  const Image sheet = contact_sheet({{image}}, {1, slotcon::view::kBlack, 2});
  EXPECT_EQ(drawing(sheet), (Drawing{"######", "#rrbb#", "#rrbb#", "######"}));
}

TEST(ContactSheet, OfOneImageWithoutAGapIsTheImage) {
  const Image image = filled(4, 3, kGreen);
  EXPECT_EQ(contact_sheet({{image}}, {0}), image);
}

TEST(ContactSheet, SaysWhatIsWrong) {
  const auto text = [](const std::vector<std::vector<Image>>& rows,
                       const ContactSheetOptions& options) {
    try {
      contact_sheet(rows, options);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const Image image(2, 2);
  EXPECT_EQ(text({{image}}, {-1}), "contact_sheet: expected gap >= 0, got -1");
  EXPECT_EQ(text({{image}}, {0, kRed, 0}), "contact_sheet: expected magnification >= 1, got 0");
  EXPECT_EQ(text({}, {}), "contact_sheet: expected at least one image with pixels, got none");
  EXPECT_EQ(text({{}, {Image()}}, {}),
            "contact_sheet: expected at least one image with pixels, got none");
}
