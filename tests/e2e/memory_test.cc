// SPDX-License-Identifier: Apache-2.0
//
// Whose write is seen by whom, read in the memory of real processes: by the parent's own word, from
// outside by the agent, and here once more by the test itself.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <sys/uio.h>

#include <memory>
#include <string>
#include <vector>

#include "common/job/value.h"
#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using ::testing::HasSubstr;

// The eight bytes at that address of that process.
int64_t WordAt(int pid, uint64_t address) {
  int64_t word = 0;
  const iovec local{&word, sizeof(word)};
  const iovec remote{reinterpret_cast<void*>(address), sizeof(word)};
  EXPECT_EQ(::process_vm_readv(pid, &local, 1, &remote, 1, 0), ssize_t{sizeof(word)});
  return word;
}

class MemoryTest : public ::testing::Test {
 protected:
  v1::ReadMemoryResponse Read(const std::vector<std::string>& cells, bool copies) {
    v1::ReadMemoryRequest request;
    for (const std::string& cell : cells) request.add_cells(cell);
    request.set_copies(copies);
    v1::ReadMemoryResponse response;
    grpc::ClientContext context;
    const grpc::Status status = agent_.parents().ReadMemory(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // Starts a call and waits until it has reported progress: it has done its part and holds.
  void Hold(const std::string& id, v1::Mode mode, const std::string& task,
            const std::vector<std::string>& words) {
    agent_.Submit({CallJob(id, mode, task, words)});
    agent_.WaitFor(id, [](const v1::Event& event) { return event.has_progress(); });
  }

  AgentProcess agent_;
};

TEST_F(MemoryTest, AForkWritesItsOwnCopyAtTheSameAddress) {
  agent_.Run({CallJob("seed", v1::MODE_THREAD, "demo.add", {"x", "5"})});
  Hold("writer", v1::MODE_FORK, "demo.add.hold", {"x", "100", "60"});
  Hold("sibling", v1::MODE_FORK, "demo.hold", {"60"});
  const v1::ReadMemoryResponse memory = Read({"x"}, true);
  const v1::Cell& cell = memory.cells(0);
  EXPECT_EQ(cell.kind(), v1::CELL_KIND_PRIVATE);
  EXPECT_EQ(ValueToJson(cell.value()), "5");
  EXPECT_EQ(ValueToJson(cell.outside().value()), "5");
  EXPECT_EQ(cell.outside().writer(), "seed");
  ASSERT_EQ(cell.copies_size(), 2);
  const v1::CellCopy& writer = cell.copies(0);
  const v1::CellCopy& sibling = cell.copies(1);
  EXPECT_EQ(writer.job_id(), "writer");
  EXPECT_EQ(ValueToJson(writer.outside().value()), "105");
  EXPECT_EQ(writer.outside().writer(), "writer");
  EXPECT_EQ(writer.outside().version(), 2u);
  EXPECT_EQ(ValueToJson(sibling.outside().value()), "5");
  EXPECT_EQ(sibling.outside().writer(), "seed");
  // The kernel's own answer to all of that.
  EXPECT_EQ(WordAt(memory.pid(), cell.address()), 5);
  EXPECT_EQ(WordAt(writer.pid(), cell.address()), 105);
  EXPECT_EQ(WordAt(sibling.pid(), cell.address()), 5);
  // Written, so copied; who may not see page frames is told so.
  EXPECT_THAT(writer.page(), ::testing::AnyOf(v1::PAGE_STATE_OWN, v1::PAGE_STATE_UNKNOWN));
}

TEST_F(MemoryTest, ASharedCellIsOneForTheParentAndItsForksAlsoForThoseMadeBefore) {
  Hold("before", v1::MODE_FORK, "demo.hold", {"60"});
  agent_.Run({CallJob("share", v1::MODE_THREAD, "demo.share", {"s", "5"})});
  Hold("writer", v1::MODE_FORK, "demo.add.hold", {"s", "100", "60"});
  agent_.Run({CallJob("thread", v1::MODE_THREAD, "demo.add", {"s", "1"})});
  const v1::ReadMemoryResponse memory = Read({"s"}, true);
  const v1::Cell& cell = memory.cells(0);
  EXPECT_EQ(cell.kind(), v1::CELL_KIND_SHARED);
  EXPECT_EQ(ValueToJson(cell.value()), "106");
  EXPECT_EQ(ValueToJson(cell.outside().value()), "106");
  EXPECT_EQ(cell.outside().version(), 3u);
  ASSERT_EQ(cell.copies_size(), 2);
  for (const v1::CellCopy& copy : cell.copies()) {
    EXPECT_EQ(ValueToJson(copy.outside().value()), "106") << copy.job_id();
    EXPECT_EQ(copy.outside().writer(), "thread");
    EXPECT_EQ(WordAt(copy.pid(), cell.address()), 106);
  }
}

TEST_F(MemoryTest, ACellThatAForkSharesIsTheParentsToo) {
  agent_.Run({CallJob("share", v1::MODE_FORK, "demo.share", {"s", "7"})});
  EXPECT_EQ(ValueToJson(Read({"s"}, false).cells(0).value()), "7");
}

TEST_F(MemoryTest, APrivateCellCannotBeSharedAnyMore) {
  agent_.Run({CallJob("own", v1::MODE_THREAD, "demo.add", {"x", "1"})});
  const v1::Event ended =
      FindEvent(agent_.Run({CallJob("share", v1::MODE_THREAD, "demo.share", {"x"})}),
                v1::Event::kThreadEnded);
  EXPECT_THAT(ended.thread_ended().threw().what(), HasSubstr("is private"));
}

TEST_F(MemoryTest, TextIsReadFromOutsideAsItIs) {
  const std::string text(3000, 'x');
  agent_.Run({CallJob("write", v1::MODE_THREAD, "demo.write", {"t", "\"" + text + "\""})});
  const v1::Cell cell = Read({"t"}, false).cells(0);
  EXPECT_TRUE(ValueToJson(cell.outside().value()) == "\"" + text + "\"");
  EXPECT_EQ(cell.outside().error(), "");
}

TEST_F(MemoryTest, ALibrarysVariableAndAnObjectAreTheThreadsAndCopiedByForks) {
  agent_.Run({CallJob("static", v1::MODE_THREAD, "demo.static.add", {"3"}),
              CallJob("object", v1::MODE_THREAD, "demo.counter.add", {"hits", "4"})});
  Hold("fork", v1::MODE_FORK, "demo.hold", {"60"});
  agent_.Run({CallJob("more", v1::MODE_THREAD, "demo.static.add", {"30"})});
  const v1::ReadMemoryResponse memory = Read({"demo.static", "demo.counter.hits"}, true);
  const v1::Cell& variable = memory.cells(0);
  EXPECT_EQ(variable.kind(), v1::CELL_KIND_VARIABLE);
  EXPECT_EQ(ValueToJson(variable.value()), "33");
  EXPECT_EQ(ValueToJson(variable.outside().value()), "33");
  EXPECT_EQ(ValueToJson(variable.copies(0).outside().value()), "3");
  EXPECT_EQ(ValueToJson(memory.cells(1).outside().value()), "4");
  EXPECT_EQ(WordAt(memory.pid(), memory.cells(1).address()), 4);
}

TEST_F(MemoryTest, ABlockIsToldOfByItsSizeAndFirstBytes) {
  agent_.Run({CallJob("make", v1::MODE_THREAD, "demo.block", {"big", "4", "true"})});
  Hold("fork", v1::MODE_FORK, "demo.hold", {"60"});
  const v1::ReadMemoryResponse memory = Read({"big"}, true);
  const v1::Cell& block = memory.cells(0);
  EXPECT_EQ(block.kind(), v1::CELL_KIND_BLOCK);
  EXPECT_EQ(block.block_bytes(), uint64_t{4} << 20);
  EXPECT_EQ(block.outside().value().bytes_value(), "\1" + std::string(63, '\0'));
  EXPECT_EQ(block.copies(0).outside().value().bytes_value(), block.outside().value().bytes_value());
  EXPECT_EQ(WordAt(block.copies(0).pid(), block.address()), 1);
}

TEST_F(MemoryTest, AnUnknownCellIsNamed) {
  v1::ReadMemoryRequest request;
  request.add_cells("nowhere");
  v1::ReadMemoryResponse response;
  grpc::ClientContext context;
  const grpc::Status status = agent_.parents().ReadMemory(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("'nowhere'"));
}

// A watch of some cells of the default parent: what it told until it was broken off.
class Watch {
 public:
  Watch(AgentProcess* agent, const std::vector<std::string>& cells) {
    v1::WatchMemoryRequest request;
    for (const std::string& cell : cells) request.add_cells(cell);
    stream_ = agent->parents().WatchMemory(&context_, request);
    v1::WatchMemoryResponse greeting;
    EXPECT_TRUE(stream_->Read(&greeting));
    EXPECT_EQ(greeting.events_size(), 0);
    EXPECT_NE(greeting.resume_token(), "");
  }
  ~Watch() {
    context_.TryCancel();
    stream_->Finish();
  }

  v1::Event Next() {
    while (next_ == page_.events_size()) {
      next_ = 0;
      if (!stream_->Read(&page_)) return v1::Event();
    }
    return page_.events(next_++);
  }
  bool Over() {
    v1::WatchMemoryResponse rest;
    return !stream_->Read(&rest);
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchMemoryResponse>> stream_;
  v1::WatchMemoryResponse page_;
  int next_ = 0;
};

TEST_F(MemoryTest, AWatchedWriteSaysWhoWroteAndWhoWasSeenToHaveIt) {
  Hold("thread", v1::MODE_THREAD, "demo.hold", {"60"});
  Watch watch(&agent_, {"x", "s"});
  agent_.Run({CallJob("t", v1::MODE_THREAD, "demo.add", {"x", "5"}),
              CallJob("not-watched", v1::MODE_THREAD, "demo.add", {"y", "5"})});
  const v1::Event made = watch.Next();
  EXPECT_EQ(made.job_id(), "t");
  EXPECT_FALSE(made.memory().has_before());
  EXPECT_EQ(ValueToJson(made.memory().after()), "5");
  EXPECT_EQ(made.evidence(), v1::EVIDENCE_SEEN);
  EXPECT_THAT(made.memory().visible_to(), ::testing::IsSupersetOf({"parent default", "thread"}));

  Hold("f", v1::MODE_FORK, "demo.add.hold", {"x", "100", "60"});
  const v1::Event forked = watch.Next();
  EXPECT_EQ(forked.memory().writer(), "f");
  EXPECT_EQ(forked.memory().pid(), agent_.GetJob("f").pid());
  EXPECT_EQ(forked.memory().address(), made.memory().address());
  EXPECT_EQ(ValueToJson(forked.memory().before()), "5");
  EXPECT_EQ(ValueToJson(forked.memory().after()), "105");
  EXPECT_THAT(forked.memory().visible_to(), ::testing::ElementsAre("f"));
  ASSERT_GE(forked.memory().readings_size(), 2);
  EXPECT_EQ(forked.memory().readings(0).job_id(), "");
  EXPECT_EQ(ValueToJson(forked.memory().readings(0).value()), "5");
  EXPECT_FALSE(forked.memory().readings(0).same_write());

  agent_.Run({CallJob("share", v1::MODE_FORK, "demo.share", {"s", "1"})});
  const v1::Event shared = watch.Next();
  EXPECT_TRUE(shared.memory().shared());
  EXPECT_THAT(shared.memory().visible_to(), ::testing::IsSupersetOf({"parent default", "f"}));
}

TEST_F(MemoryTest, FastWritesAreFewEventsAndEveryOneIsCounted) {
  Watch watch(&agent_, {"x"});
  agent_.Run({CallJob("t", v1::MODE_THREAD, "demo.add.safe", {"x", "100000"}),
              CallJob("f", v1::MODE_FORK, "demo.add.safe", {"x", "100000"})});
  for (const char* const job : {"t", "f"}) {
    uint64_t writes = 0;
    int events = 0;
    for (const v1::Event& event : agent_.Events(job)) {
      if (!event.has_memory()) continue;
      writes += event.memory().writes();
      ++events;
    }
    EXPECT_EQ(writes, 100000u) << job;
    EXPECT_LT(events, 1000) << job;
  }
}

TEST_F(MemoryTest, WhatNobodyWatchesMakesNoEvents) {
  {
    const Watch watch(&agent_, {});
    agent_.Run({CallJob("watched", v1::MODE_THREAD, "demo.add", {"x", "1"})});
  }
  EXPECT_TRUE(FindEvent(agent_.Events("watched"), v1::Event::kMemory).has_memory());
  // The watch ends a moment after its reader: then the cells are counted only.
  for (int i = 0;; ++i) {
    const std::string id = "after-" + std::to_string(i);
    agent_.Run({CallJob(id, v1::MODE_THREAD, "demo.add", {"x", "1"})});
    if (!FindEvent(agent_.Events(id), v1::Event::kMemory).has_memory()) break;
    ASSERT_LT(i, 1000);
  }
}

TEST_F(MemoryTest, AWatchEndsWithItsParentAndSaysWhatItCannotWatch) {
  Watch watch(&agent_, {});
  v1::EndParentRequest end;
  end.set_name("default");
  v1::EndParentResponse ended;
  grpc::ClientContext context;
  ASSERT_TRUE(agent_.parents().EndParent(&context, end, &ended).ok());
  EXPECT_TRUE(watch.Over());

  v1::WatchMemoryRequest bad;
  bad.add_cells("no/name");
  grpc::ClientContext bad_context;
  v1::WatchMemoryResponse none;
  const auto refused = agent_.parents().WatchMemory(&bad_context, bad);
  EXPECT_FALSE(refused->Read(&none));
  const grpc::Status status = refused->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("cells[0]"));

  v1::WatchMemoryRequest unknown;
  unknown.set_parent("nobody");
  grpc::ClientContext unknown_context;
  const auto missing = agent_.parents().WatchMemory(&unknown_context, unknown);
  EXPECT_FALSE(missing->Read(&none));
  EXPECT_EQ(missing->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace brood::testing
