// SPDX-License-Identifier: Apache-2.0
#include "agent/host/event_feed.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace brood {
namespace {

constexpr bool kBusy = true;
constexpr bool kNotBusy = false;

class CountingReader final : public EventReader {
 public:
  void OnMore() override { ++told_; }
  int told() const { return told_; }

 private:
  int told_ = 0;
};

class EventFeedTest : public ::testing::Test {
 protected:
  static std::vector<JournalRecord> Records(std::vector<uint64_t> job_keys) {
    std::vector<JournalRecord> records;
    for (const uint64_t key : job_keys) records.push_back(JournalRecord{0, key, ""});
    return records;
  }
  void EndRounds() {
    for (const auto& end : std::exchange(rounds_, {})) end();
  }

  std::vector<std::function<void()>> rounds_;
  EventFeed feed_{[this](std::function<void()> end) { rounds_.push_back(std::move(end)); }};
  std::shared_ptr<CountingReader> one_ = std::make_shared<CountingReader>();
  std::shared_ptr<CountingReader> other_ = std::make_shared<CountingReader>();
};

TEST_F(EventFeedTest, ReadersOfAJobAreToldOfItsRecordsOnly) {
  feed_.AddForJob(1, one_);
  feed_.AddForJob(2, other_);
  feed_.Publish(Records({1, 1}), kNotBusy);
  EXPECT_EQ(one_->told(), 1);
  EXPECT_EQ(other_->told(), 0);
}

TEST_F(EventFeedTest, ABusyHostTellsEachReaderOnceARound) {
  feed_.AddForJob(1, one_);
  feed_.AddForAll(other_);
  feed_.Publish(Records({1}), kBusy);
  feed_.Publish(Records({1}), kBusy);
  EXPECT_EQ(one_->told(), 0);
  ASSERT_EQ(rounds_.size(), 1u);
  EndRounds();
  EXPECT_EQ(one_->told(), 1);
  EXPECT_EQ(other_->told(), 1);
}

TEST_F(EventFeedTest, EveryRoundThatBeginsEnds) {
  feed_.AddForJob(1, one_);
  for (int round = 1; round <= 3; ++round) {
    feed_.Publish(Records({1}), kBusy);
    EndRounds();
    EXPECT_EQ(one_->told(), round);
  }
}

TEST_F(EventFeedTest, AHostThatIsNoLongerBusyTellsAllWhoWaitAtOnce) {
  feed_.AddForJob(1, one_);
  feed_.AddForJob(2, other_);
  feed_.Publish(Records({1}), kBusy);
  feed_.Publish(Records({2}), kNotBusy);
  EXPECT_EQ(one_->told(), 1);
  EXPECT_EQ(other_->told(), 1);
  EndRounds();
  EXPECT_EQ(one_->told(), 1);
}

TEST_F(EventFeedTest, ANewRoundBeginsOnlyForRecordsThatConcernSomebody) {
  feed_.AddForJob(1, one_);
  feed_.Publish(Records({7}), kBusy);
  EXPECT_TRUE(rounds_.empty());
}

}  // namespace
}  // namespace brood
