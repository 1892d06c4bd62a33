// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/outbox/slot_file.h"
#include "agent/outbox/watch_writer.h"
#include "agent/parent/agent_link.h"
#include "agent/parent/call_threads.h"
#include "agent/parent/cell_store.h"
#include "agent/parent/forker.h"
#include "agent/parent/gate.h"
#include "agent/parent/job_keys.h"
#include "agent/parent/job_streams.h"
#include "agent/parent/launcher.h"
#include "agent/parent/notes.h"
#include "agent/parent/options.h"
#include "agent/parent/process_table.h"
#include "agent/parent/reaper.h"
#include "agent/parent/shared_cells.h"
#include "agent/parent/task_libraries.h"
#include "common/base/event_loop.h"

namespace brood {

// How a parent is told to end; the numbers of brood.v1.ParentEnd.
enum class ParentEnd : int32_t {
  kReturn = 1,
  kExit = 2,
  kAbort = 3,
  kKill = 4,
  kThreadExit = 5,
};

// A parent: all its parts, and what each frame of the agent means to them. Is
// never destroyed: its threads may outlive main.
class Parent final : public AgentRequests {
 public:
  // To be called before any thread is made; SIGCHLD is blocked from here on.
  static Result<Parent*> Create(const ParentOptions& options);
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;

  // Runs until it is told to end by `return` or `thread-exit`; which of them.
  ParentEnd Run();

 private:
  Parent(const ParentOptions& options, std::unique_ptr<EventLoop> loop,
         std::unique_ptr<OutboxWriter> outbox, std::unique_ptr<SlotFile> slots,
         std::unique_ptr<SharedCells> shared_cells, std::unique_ptr<WatchWriter> watch);
  Status Open(const ParentOptions& options);
  Status OpenDescriptors();

  void OnFrame(uint64_t agent_incarnation, internal::v1::ToParent frame) override;
  std::unique_ptr<FrameSocket> OnCommands(uint64_t agent_incarnation,
                                          std::unique_ptr<FrameSocket> socket,
                                          std::vector<std::string> frames) override;
  void OnAgent(uint64_t agent_incarnation, uint64_t connection) override;

  void StartCall(internal::v1::StartJob job, uint64_t agent);
  int Signal(const internal::v1::SignalJob& signal);
  void OnEnded(ProcessJob* job);
  void OnDrained(uint64_t job_key);
  void Forget(ProcessJob* job);
  void RetryNotes();
  void End(ParentEnd how);

  const ParentOptions options_;
  const std::unique_ptr<EventLoop> loop_;
  Notes notes_;
  const std::unique_ptr<SlotFile> slots_;
  UniqueFd null_input_;
  UniqueFd doorbell_read_;
  UniqueFd doorbell_write_;
  JobKeys keys_;
  ProcessTable processes_;
  Gate gate_;
  const std::unique_ptr<SharedCells> shared_cells_;
  const std::unique_ptr<WatchWriter> watch_;
  CellStore cells_;
  TaskLibraries libraries_;
  std::unique_ptr<AgentLink> link_;
  std::unique_ptr<JobStreams> streams_;
  std::unique_ptr<Reaper> reaper_;
  std::unique_ptr<CallThreads> threads_;
  std::unique_ptr<Forker> forker_;
  std::unique_ptr<Launcher> launcher_;
  ParentEnd end_ = ParentEnd::kReturn;
};

}  // namespace brood
