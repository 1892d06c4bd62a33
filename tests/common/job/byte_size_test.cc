// SPDX-License-Identifier: Apache-2.0
#include "common/job/byte_size.h"

#include <gtest/gtest.h>

namespace brood {
namespace {

TEST(ByteSizeTest, ReadsWhatPeopleWrite) {
  const auto size = [](const char* text) { return *ParseByteSize(text, "--x"); };
  EXPECT_EQ(size("0"), 0u);
  EXPECT_EQ(size("65536"), 65'536u);
  EXPECT_EQ(size("64K"), 65'536u);
  EXPECT_EQ(size("64k"), 65'536u);
  EXPECT_EQ(size("64KiB"), 65'536u);
  EXPECT_EQ(size("64KB"), 65'536u);
  EXPECT_EQ(size("1.5M"), 1'572'864u);
  EXPECT_EQ(size("2G"), uint64_t{2} << 30);
  EXPECT_EQ(size("1T"), uint64_t{1} << 40);
  EXPECT_EQ(size("7B"), 7u);
}

TEST(ByteSizeTest, RefusesWhatIsNone) {
  for (const char* const text :
       {"", "K", "-1", "1X", "1KK", "1 K", "1KiBs", "nan", "inf", "8388608T", "1e3"}) {
    const Result<uint64_t> size = ParseByteSize(text, "--output-max");
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().field, "--output-max");
    EXPECT_NE(size.error().message.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace brood
