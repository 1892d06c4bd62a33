// SPDX-License-Identifier: Apache-2.0
#include "common/job/text.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>

namespace brood {
namespace {

TEST(TextTest, KnowsUtf8FromOtherBytes) {
  for (const char* good : {"", "abc", "Grüße", "日本", "\xF0\x9F\x8C\xB1", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "a\xFFz", "\xE2\x82"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

TEST(TextTest, MakesUtf8OfWhatIsNone) {
  EXPECT_EQ(ToUtf8("Grüße"), "Grüße");
  EXPECT_EQ(ToUtf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(ToUtf8("cut \xE6\x97"), "cut \uFFFD\uFFFD");
  EXPECT_EQ(ToUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(ToUtf8(""), "");
}

TEST(TextTest, QuotesWithoutTerminalEscapes) {
  EXPECT_EQ(Quoted("abc"), "'abc'");
  EXPECT_EQ(Quoted("Grüße"), "'Grüße'");
  EXPECT_EQ(Quoted("a'\\b"), "'a\\'\\\\b'");
  EXPECT_EQ(Quoted("\x1b]0;x\x07"), "'\\x1b]0;x\\x07'");
  EXPECT_EQ(Quoted("\xC2\x9B"), "'\\xc2\\x9b'");  // CSI as one character
  EXPECT_EQ(Quoted("\xFF"), "'\\xff'");
}

TEST(TextTest, ShortensAQuoteAndSaysHowLongItWas) {
  EXPECT_EQ(Quoted(std::string(1000, 'a')), "'" + std::string(48, 'a') + "…' (1000 bytes)");
}

TEST(TextTest, WritesBase64WithPadding) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("\xFF\xFE"), "//4=");
}

TEST(TextTest, NamesSignalsAndErrors) {
  EXPECT_EQ(SignalName(SIGTERM), "SIGTERM");
  EXPECT_EQ(SignalName(63), "signal 63");
  EXPECT_EQ(ErrnoSentence(ENOENT), "No such file or directory");
  EXPECT_EQ(ErrnoSentence(4711), "error 4711");
}

}  // namespace
}  // namespace brood
