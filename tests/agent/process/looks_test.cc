// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "agent/process/lone_wait.h"
#include "agent/process/memory_reader.h"
#include "agent/process/page_meter.h"

namespace brood {
namespace {

TEST(LoneWaitTest, IsAPrivateFutexWithoutATimeOut) {
  EXPECT_EQ(ParseLoneWait("202 0x7f0010 0x80 0x2 0x0 0x0 0x0 0x7ffe 0x7f\n"), 0x7f0010u);
  EXPECT_EQ(ParseLoneWait("202 0x7f0010 0x189 0x2 0x0 0x0 0xffffffff 0x7ffe 0x7f\n"), 0x7f0010u);
}

TEST(LoneWaitTest, IsNothingThatSomebodyCouldEnd) {
  EXPECT_FALSE(ParseLoneWait("202 0x7f0010 0x80 0x2 0x7ffd00 0x0 0x0 0x7ffe 0x7f\n")) << "time-out";
  EXPECT_FALSE(ParseLoneWait("202 0x7f0010 0x0 0x2 0x0 0x0 0x0 0x7ffe 0x7f\n")) << "shared";
  EXPECT_FALSE(ParseLoneWait("202 0x7f0010 0x81 0x2 0x0 0x0 0x0 0x7ffe 0x7f\n")) << "a wake-up";
  EXPECT_FALSE(ParseLoneWait("0 0x3 0x80 0x2 0x0 0x0 0x0 0x7ffe 0x7f\n")) << "a read";
  EXPECT_FALSE(ParseLoneWait("running\n"));
  EXPECT_FALSE(ParseLoneWait(""));
}

TEST(PageMeterTest, ReadsTheFourAndNothingIfOneIsMissing) {
  const std::string text =
      "55-7f ---p 00 00:00 0 [rollup]\nRss:  100 kB\nPss:  60 kB\nPss_Dirty: 9 kB\n"
      "Shared_Dirty:  20 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty:  30 kB\n";
  const auto meter = ParseSmapsRollup(text);
  ASSERT_TRUE(meter);
  EXPECT_EQ(meter->rss, 100u << 10);
  EXPECT_EQ(meter->pss, 60u << 10);
  EXPECT_EQ(meter->shared_dirty, 20u << 10);
  EXPECT_EQ(meter->private_dirty, 30u << 10);
  EXPECT_FALSE(ParseSmapsRollup("Rss: 1 kB\n"));
  EXPECT_TRUE(ReadPageMeter(::getpid()));
}

// A child that holds still until the test lets it go.
class ChildTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::pipe(ends_), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(ends_[1]);
      char none = 0;
      (void)!::read(ends_[0], &none, 1);
      ::_exit(0);
    }
    ::close(ends_[0]);
  }
  void TearDown() override {
    ::close(ends_[1]);
    ::waitpid(child_, nullptr, 0);
  }
  int ends_[2] = {};
  pid_t child_ = 0;
  CellImage image_;
};

TEST_F(ChildTest, ACellIsReadInTheCopyAndInTheOriginal) {
  const auto address = reinterpret_cast<uintptr_t>(&image_);
  image_.value_kind = 3;
  image_.version = 7;
  image_.scalar = 42;
  const Result<MemoryCell> own = ReadMemoryCell(::getpid(), address);
  const Result<MemoryCell> copy = ReadMemoryCell(child_, address);
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own->image.scalar, 42);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->image.version, 0u) << "written after the fork";
}

TEST_F(ChildTest, WhatIsNoCellAndWhoIsGoneAreSaidSo) {
  const auto address = reinterpret_cast<uintptr_t>(&image_);
  image_.sequence = 1;
  EXPECT_EQ(ReadMemoryCell(::getpid(), address).error().reason, "CHANGING");
  image_.sequence = 2;
  image_.magic = 0;
  EXPECT_EQ(ReadMemoryCell(::getpid(), address).error().reason, "NO_CELL");
  EXPECT_EQ(ReadMemoryCell(::getpid(), 8).error().reason, "NO_SUCH_MEMORY");
  EXPECT_EQ(ReadMemoryBytes(::getpid(), 8, 1 << 20).error().field, "size");
  ::close(ends_[1]);
  ::waitpid(child_, nullptr, 0);
  EXPECT_EQ(ReadMemoryCell(child_, address).error().reason, "NO_SUCH_PROCESS");
  SetUp();
}

}  // namespace
}  // namespace brood
