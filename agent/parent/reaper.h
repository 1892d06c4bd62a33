// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/parent/notes.h"
#include "agent/parent/process_table.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

// Waits for this parent's own jobs, each by its pidfd and never for "any child":
// looks at the status, notes it, then reaps. So a parent that is killed in
// between leaves a child that the supervisor can still ask.
class Reaper {
 public:
  using Ended = std::function<void(ProcessJob* job)>;

  // SIGCHLD must be blocked in every thread. `ended` is told after the reap, in the loop's thread.
  static Result<std::unique_ptr<Reaper>> Create(EventLoop* loop, ProcessTable* processes,
                                                Notes* notes, Ended ended);
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // From now on waits for it. Its STARTED is noted before. Any thread.
  void Watch(ProcessJob* job);

  // A signal was sent that may stop or continue it: its next change is looked
  // for at every SIGCHLD. Loop's thread.
  void ExpectChange(ProcessJob* job);

 private:
  Reaper(EventLoop* loop, ProcessTable* processes, Notes* notes, Ended ended);
  Status Open();
  void OnEnds();
  void Reap(ProcessJob* job);
  void OnSigchld();
  bool NoteChange(ProcessJob* job);

  EventLoop* const loop_;
  ProcessTable* const processes_;
  Notes* const notes_;
  const Ended ended_;
  UniqueFd epoll_;  // of pidfds: any thread may add to it
  UniqueFd sigchld_;
  std::vector<uint64_t> expected_;  // keys of ExpectChange
};

}  // namespace brood
