// SPDX-License-Identifier: Apache-2.0
#include "agent/host/parent_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/host/lives.h"
#include "common/base/unix_socket.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

// Links to a parent that takes connections and reads nothing.
class ParentLinkTest : public ::testing::Test {
 protected:
  std::shared_ptr<ParentLink> Connect() {
    auto link = std::make_shared<ParentLink>(ParentKey{"deaf", 1}, directory_.path(),
                                             directory_.path() + "/s", 1, loop_.get(), nullptr,
                                             nullptr, nullptr);
    EXPECT_TRUE(link->TryConnect());
    return link;
  }
  // More than a socket takes: the rest waits for the loop.
  static void SendMuch(ParentLink* link) {
    internal::v1::ToParent frame;
    frame.mutable_start()->add_jobs()->set_task(std::string(1 << 20, 'x'));
    for (int i = 0; i < 4; ++i) link->Send(frame);
  }
  void RunLoop() {
    loop_->Post([this] { loop_->Stop(); });
    loop_->Run();
  }

  testing::TempDirectory directory_;
  UniqueFd listener_ = *ListenUnix(directory_.path() + "/s");
  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create();
};

TEST_F(ParentLinkTest, WhatItAskedOfTheLoopIsNotDoneToWhoHasItsDescriptorsNext) {
  std::shared_ptr<ParentLink> link = Connect();
  SendMuch(link.get());
  link.reset();
  // Others get the same numbers, and wait for something else.
  bool called = false;
  std::vector<UniqueFd> others;
  for (int i = 0; i < 4; ++i) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (const int fd : pair) {
      others.emplace_back(fd);
      ASSERT_FALSE(loop_->Add(fd, EPOLLIN, [&called](uint32_t) { called = true; }));
    }
  }
  loop_->Post([this] { loop_->Post([this] { loop_->Stop(); }); });
  loop_->Run();
  EXPECT_FALSE(called);
}

TEST_F(ParentLinkTest, FindsTheSlotOfAProcessByItsTimeAndOfAKnownJobByItsKey) {
  const auto slots = *SlotFile::Create(directory_.path(), 2);
  StartSlot* const start = slots->start(slots->Reserve(7, 1, true));
  start->pid = 100;
  start->start_ns = 1'000;
  start->claim = kClaimedByChild;
  const std::shared_ptr<ParentLink> link = Connect();
  link->ReadNotes();
  OrphanFact orphan;
  orphan.pid = 100;
  orphan.start_ns = 999;
  EXPECT_TRUE(FindStart(*link, orphan).has_value());
  // As its parent saw it, which may be after its first act.
  orphan.start_ns = 1'001;
  EXPECT_FALSE(FindStart(*link, orphan).has_value());
  orphan.job_key = 7;
  EXPECT_TRUE(FindStart(*link, orphan).has_value());
  orphan.job_key = 8;
  EXPECT_FALSE(FindStart(*link, orphan).has_value());
}

TEST_F(ParentLinkTest, OneThatIsShutLeavesNothingForTheThreadThatDestroysIt) {
  std::shared_ptr<ParentLink> link = Connect();
  std::shared_ptr<ParentLink> held = link;
  int answers = 0;
  link->ReadMemory({}, [&answers](const Result<internal::v1::MemoryAnswer>& answer) {
    EXPECT_FALSE(answer.ok());
    ++answers;
  });
  link->Shut();
  EXPECT_EQ(answers, 1);
  link.reset();
  // The loop runs on meanwhile.
  std::thread committer([held = std::move(held)]() mutable {
    SendMuch(held.get());
    held.reset();
  });
  committer.join();
  RunLoop();
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace brood
