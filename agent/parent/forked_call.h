// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/outbox/slot_file.h"
#include "agent/outbox/watch_writer.h"
#include "agent/parent/child_setup.h"
#include "agent/parent/environment.h"
#include "agent/parent/gate.h"
#include "agent/parent/job_pipes.h"
#include "agent/parent/running_call.h"

namespace brood {

// A call in a forked child. Made before the fork, with all that can be made then: in the child each
// page that is written to is first copied. RunInChild is the child's life.
class ForkedCall final : public RunningCall {
 public:
  ForkedCall(internal::v1::StartJob job, const brood_task* task, CellStore* cells,
             const rlimit& files, size_t environment_size);

  // Before the fork.
  void SetSlot(const SlotFile& slots, uint32_t slot);
  uint32_t slot() const { return slot_; }
  JobPipes* pipes() { return &pipes_; }

  // What the child uses of the parent's, in its copy of the memory.
  struct Inherited {
    Gate* gate = nullptr;
    WatchWriter* watch = nullptr;
    int null_input = -1;
    int doorbell = -1;
    uint64_t signals = kAllSignals;  // that are to get their default action
  };
  // The child, from its first act to its end. All signals are blocked. Keeps of
  // the parent's descriptors only the doorbell's write end.
  [[noreturn]] void RunInChild(const Inherited& inherited);

  void Progress(double fraction, std::string_view text) override;
  int Write(int stream, std::string_view bytes) override;
  bool StopRequested() const override { return false; }  // A process is asked by a signal.
  int Sleep(int64_t nanoseconds) override;
  bool is_thread() const override { return false; }

 private:
  void WriteResult(int ended);
  void RingDoorbell();

  const std::vector<ChildLimit> limits_;
  const std::vector<const char*> groups_;
  JobEnvironment environment_;
  JobPipes pipes_;
  uint32_t slot_ = 0;
  StartSlot* start_ = nullptr;
  CallArea* area_ = nullptr;
  char* value_ = nullptr;
  int doorbell_ = -1;
  int64_t rung_ns_ = 0;
};

}  // namespace brood
