// SPDX-License-Identifier: Apache-2.0
//
// Whose write is seen by whom, read in the memory of real processes: by the parent's own word, from
// outside by the agent, and here once more by the test itself.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <sys/uio.h>

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
    v1::SubmitJobsRequest request;
    *request.add_jobs() = CallJob(id, mode, task, words);
    v1::SubmitJobsResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(agent_.jobs().SubmitJobs(&context, request, &response).ok());
    ASSERT_EQ(response.accepted(0).error_code(), 0) << response.accepted(0).error_message();
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
              CallJob("object", v1::MODE_THREAD, "demo.counter.add", {"hits", "4"}),
              CallJob("show", v1::MODE_THREAD, "demo.counter.show", {"hits"})});
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

TEST_F(MemoryTest, AnUnknownCellIsNamed) {
  v1::ReadMemoryRequest request;
  request.add_cells("nowhere");
  v1::ReadMemoryResponse response;
  grpc::ClientContext context;
  const grpc::Status status = agent_.parents().ReadMemory(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("'nowhere'"));
}

}  // namespace
}  // namespace brood::testing
