#include <gtest/gtest.h>
#include <slotcon/view/html.h>

#include <cstdint>
#include <string>
#include <vector>

using slotcon::view::base64;
using slotcon::view::data_uri;
using slotcon::view::escape_html;

namespace {

const std::string kReplaced = "\xEF\xBF\xBD";

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

TEST(EscapeHtml, EscapesWhatMeansSomething) {
  EXPECT_EQ(escape_html("<img src=x onerror='a' alt=\"b\"> & &amp;"),
            "&lt;img src=x onerror=&#39;a&#39; alt=&quot;b&quot;&gt; &amp; &amp;amp;");
  EXPECT_EQ(escape_html(""), "");
  EXPECT_EQ(escape_html("a\tb\nc\r"), "a\tb\nc\r");
}

TEST(EscapeHtml, KeepsTextOfAnyLanguage) {
  const std::string text = "\xC3\xA9\xE2\x82\xAC\xE4\xB8\xAD\xF0\x9F\x98\x80\xED\x9F\xBF";
  EXPECT_EQ(escape_html(text), text);
}

TEST(EscapeHtml, ReplacesBytesThatAreNoText) {
  EXPECT_EQ(escape_html(std::string("a\0b\x01\x1F\x7F", 6)),
            "a" + kReplaced + "b" + kReplaced + kReplaced + kReplaced);
  EXPECT_EQ(escape_html("\xFFx"), kReplaced + "x");
  EXPECT_EQ(escape_html("\xC3"), kReplaced);                                  // cut off
  EXPECT_EQ(escape_html("\xE2\x82<"), kReplaced + kReplaced + "&lt;");        // cut off by a tag
  EXPECT_EQ(escape_html("\xC0\xBC"), kReplaced + kReplaced);                  // '<' in two bytes
  EXPECT_EQ(escape_html("\xE0\x80\xBC"), kReplaced + kReplaced + kReplaced);  // in three
  EXPECT_EQ(escape_html("\xED\xA0\x80"), kReplaced + kReplaced + kReplaced);  // a surrogate
  EXPECT_EQ(escape_html("\xF4\x90\x80\x80"), kReplaced + kReplaced + kReplaced + kReplaced);
  EXPECT_EQ(escape_html("\xEF\xBF\xBF\xEF\xBF\xBE"), kReplaced + kReplaced);  // not of XML
}

TEST(Base64, GivesTheVectorsOfTheStandard) {  // RFC 4648, section 10
  EXPECT_EQ(base64(bytes("")), "");
  EXPECT_EQ(base64(bytes("f")), "Zg==");
  EXPECT_EQ(base64(bytes("fo")), "Zm8=");
  EXPECT_EQ(base64(bytes("foo")), "Zm9v");
  EXPECT_EQ(base64(bytes("foob")), "Zm9vYg==");
  EXPECT_EQ(base64(bytes("fooba")), "Zm9vYmE=");
  EXPECT_EQ(base64(bytes("foobar")), "Zm9vYmFy");
}

TEST(Base64, HasEveryDigit) {
  EXPECT_EQ(base64({0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8B, 0x30, 0xD3, 0x8F,
                    0x41, 0x14, 0x93, 0x51, 0x55, 0x97, 0x61, 0x96, 0x9B, 0x71, 0xD7, 0x9F,
                    0x82, 0x18, 0xA3, 0x92, 0x59, 0xA7, 0xA2, 0x9A, 0xAB, 0xB2, 0xDB, 0xAF,
                    0xC3, 0x1C, 0xB3, 0xD3, 0x5D, 0xB7, 0xE3, 0x9E, 0xBB, 0xF3, 0xDF, 0xBF}),
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  EXPECT_EQ(base64({0xFF, 0xFF}), "//8=");
}

TEST(DataUri, NamesTheMediaType) {
  EXPECT_EQ(data_uri("image/png", bytes("foo")), "data:image/png;base64,Zm9v");
}
