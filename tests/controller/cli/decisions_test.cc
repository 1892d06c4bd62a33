// SPDX-License-Identifier: Apache-2.0
//
// What `brood run` decides without doing it: interrupts, and who gets which line.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "controller/cli/each_feed.h"
#include "controller/cli/interrupts.h"
#include "controller/cli/line_source.h"
#include "tests/testing/temp_directory.h"

namespace brood::cli {
namespace {

using Step = Interrupts::Step;
constexpr int64_t kSecond = 1'000'000'000;

TEST(InterruptsTest, OnATerminalShowThenCancelThenLeave) {
  Interrupts interrupts(true);
  EXPECT_EQ(interrupts.OnInterrupt({0}), Step::kShow);
  EXPECT_EQ(interrupts.OnInterrupt({2 * kSecond}), Step::kCancel);
  EXPECT_EQ(interrupts.OnInterrupt({9 * kSecond}), Step::kLeave);
}

TEST(InterruptsTest, ShowAgainWhenTheSecondComesLate) {
  Interrupts interrupts(true);
  EXPECT_EQ(interrupts.OnInterrupt({0}), Step::kShow);
  EXPECT_EQ(interrupts.OnInterrupt({2 * kSecond + 1}), Step::kShow);
  EXPECT_EQ(interrupts.OnInterrupt({3 * kSecond}), Step::kCancel);
}

TEST(InterruptsTest, CancelAtOnceWithoutATerminalAndLeaveAfterAnyCancel) {
  EXPECT_EQ(Interrupts(false).OnInterrupt({0}), Step::kCancel);
  Interrupts interrupts(true);
  interrupts.OnCancelled();
  EXPECT_EQ(interrupts.OnInterrupt({0}), Step::kLeave);
}

class EachFeedTest : public ::testing::Test {
 protected:
  EachFeedTest() : loop_(std::move(*EventLoop::Create())) {}
  void MakeFeed(size_t hosts, const std::string& lines) {
    const std::string path = directory_.path() + "/lines";
    std::ofstream(path) << lines;
    feed_ = std::make_unique<EachFeed>(
        hosts, [this](size_t host, EachLine line) { dealt_.emplace_back(host, std::move(line)); });
    auto source = LineSource::Open(path, -1, loop_.get(), [] {});
    ASSERT_TRUE(source.ok());
    feed_->SetSource(std::move(*source));
  }
  static std::string Numbers(int count) {
    std::string lines;
    for (int i = 1; i <= count; ++i) lines += std::to_string(i) + "\n";
    return lines;
  }
  size_t DealtTo(size_t host) const {
    size_t count = 0;
    for (const auto& [to, line] : dealt_) count += to == host ? 1 : 0;
    return count;
  }
  testing::TempDirectory directory_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<EachFeed> feed_;
  std::vector<std::pair<size_t, EachLine>> dealt_;
};

TEST_F(EachFeedTest, DealsEvenlyAndNoMoreThanTheWindows) {
  MakeFeed(2, Numbers(100));
  EXPECT_FALSE(feed_->Fill());
  EXPECT_EQ(DealtTo(0), EachFeed::kFirstWindow);
  EXPECT_EQ(DealtTo(1), EachFeed::kFirstWindow);
  feed_->SetSlots(0, 1);
  feed_->Fill();
  EXPECT_EQ(DealtTo(0), 1 + EachFeed::kAhead);
  EXPECT_EQ(DealtTo(1), EachFeed::kFirstWindow);
}

TEST_F(EachFeedTest, IsDoneWhenEveryLineWasAnswered) {
  MakeFeed(1, "a\nb");
  feed_->Fill();
  ASSERT_EQ(dealt_.size(), 2u);
  EXPECT_EQ(dealt_[1].second.text, "b");
  EXPECT_EQ(dealt_[1].second.number, 2u);
  feed_->OnAnswered(0);
  EXPECT_FALSE(feed_->Done());
  feed_->OnAnswered(0);
  EXPECT_TRUE(feed_->Done());
  EXPECT_FALSE(feed_->LinesLeft());
}

TEST_F(EachFeedTest, DealsALineAgainThatAFullQueueRefusedButNotMoreAtOnce) {
  MakeFeed(1, Numbers(100));
  feed_->Fill();
  EachLine back = dealt_.back().second;
  feed_->OnQueueFull(0, back);
  feed_->Fill();
  EXPECT_EQ(DealtTo(0), EachFeed::kFirstWindow) << "the window shrank to what was under way";
  feed_->OnAnswered(0);
  feed_->OnJobEnd(0);
  feed_->Fill();
  EXPECT_EQ(dealt_[EachFeed::kFirstWindow].second.number, back.number);
}

TEST_F(EachFeedTest, GivesTheRestToTheOthersWhenAHostEnds) {
  MakeFeed(2, Numbers(20));
  feed_->Fill();
  feed_->OnHostEnd(0);
  for (size_t i = 0; i < EachFeed::kFirstWindow; ++i) {
    feed_->OnAnswered(1);
    feed_->OnJobEnd(1);
  }
  feed_->Fill();
  EXPECT_EQ(DealtTo(0) + DealtTo(1), 20u);
  EXPECT_FALSE(feed_->LinesLeft());
  feed_->OnHostEnd(1);
  EXPECT_TRUE(feed_->Done());
}

TEST_F(EachFeedTest, KnowsThatLinesAreLeftWhenNoHostIs) {
  MakeFeed(1, Numbers(20));
  feed_->Fill();
  feed_->OnHostEnd(0);
  feed_->Fill();
  EXPECT_TRUE(feed_->LinesLeft());
  feed_->Stop();
  EXPECT_FALSE(feed_->LinesLeft());
}

TEST_F(EachFeedTest, RefusesALineThatNoCommandCanHave) {
  MakeFeed(1, "ok\n" + std::string(LineSource::kLineBytesMax + 1, 'x') + "\n");
  const Status status = feed_->Fill();
  ASSERT_TRUE(status);
  EXPECT_THAT(status->message, ::testing::HasSubstr("line 2 of"));
  EXPECT_EQ(dealt_.size(), 1u);
}

TEST(LineSourceTest, DoesNotWaitForAPipeAndCallsBackWhenThereIsMore) {
  const auto loop = std::move(*EventLoop::Create());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  std::vector<std::string> lines;
  std::unique_ptr<LineSource> source;
  LineSource::Got got = LineSource::Got::kLater;
  const auto read = [&] {
    std::string line;
    while ((got = source->Next(&line)) == LineSource::Got::kLine) lines.push_back(line);
    if (got == LineSource::Got::kEnd) loop->Stop();
  };
  source = std::move(*LineSource::Open("-", reader.get(), loop.get(), read));
  read();
  EXPECT_EQ(got, LineSource::Got::kLater);
  ASSERT_EQ(::write(writer.get(), "a\nb", 3), 3);
  loop->Post([&] {
    // By now the first part may have been read, or not.
    EXPECT_EQ(::write(writer.get(), "c\n\nend", 6), 6);
    writer.reset();
  });
  loop->Run();
  EXPECT_THAT(lines, ::testing::ElementsAre("a", "bc", "", "end"));
}

}  // namespace
}  // namespace brood::cli
