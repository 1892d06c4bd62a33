// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/outbox/slot_file.h"
#include "agent/parent/job_keys.h"
#include "agent/parent/job_streams.h"
#include "agent/parent/launch_child.h"
#include "agent/parent/notes.h"
#include "agent/parent/reaper.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/event_loop.h"
#include "common/base/frame_socket.h"

namespace brood {

// Starts commands, on a thread of its own with its own connection to the agent:
// a program on a dead mount stops this thread only, and a command needs no
// hand-over between threads. The thread begins with the first command: to fork a
// process that never had a second thread takes a third less time.
class Launcher {
 public:
  struct Parts {
    Notes* notes = nullptr;
    SlotFile* slots = nullptr;
    JobKeys* keys = nullptr;
    JobStreams* streams = nullptr;
    ProcessTable* processes = nullptr;
    Reaper* reaper = nullptr;
    rlimit files{};                        // the descriptor limit of the jobs
    std::vector<std::string> environment;  // that the jobs start from
    int null_input = -1;                   // /dev/null
    // A call that came here, and the incarnation of the agent that sent it; any thread.
    std::function<void(internal::v1::StartJob, uint64_t agent)> on_call;
  };

  static Result<std::unique_ptr<Launcher>> Create(Parts parts);
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  // The main thread's.

  // Takes over a connection, instead of the one before, and the frames that came already. If
  // the thread cannot be made, their commands fail to start and the connection is given back.
  std::unique_ptr<FrameSocket> Adopt(uint64_t agent_incarnation,
                                     std::unique_ptr<FrameSocket> socket,
                                     std::vector<std::string> frames);
  void Start(internal::v1::StartJob job, uint64_t agent);

  // The rest from any thread.

  // Closes the connection of an older agent.
  void FenceBelow(uint64_t agent_incarnation);
  // A slot was freed.
  void OnSlotFree();
  // Lets the thread end, after the launch it is in; does not wait for it.
  void Stop();

 private:
  // A job that waits for a slot, and the incarnation of the agent that sent it.
  struct Waiting {
    internal::v1::StartJob job;
    uint64_t agent = 0;
  };
  // A job on its way through one batch.
  struct Prepared {
    internal::v1::StartJob job;
    JobPipes pipes;
    uint32_t slot = 0;
  };

  Launcher(Parts parts, std::unique_ptr<EventLoop> loop, std::unique_ptr<ChildLauncher> children);
  static void* Run(void* launcher);
  bool EnsureThread(int* error_number);
  void FailUnstarted(const internal::v1::StartJob& job, int error_number);
  void OnReadable();
  void Disconnect();
  void Handle(std::string_view payload);
  void StartWaiting();
  bool Prepare(Prepared* prepared);
  void Launch(Prepared* prepared);
  void Fail(const Prepared& prepared, ChildStep step, int error_number,
            const std::string& sentence);

  const Parts parts_;
  const std::unique_ptr<EventLoop> loop_;
  const std::unique_ptr<ChildLauncher> children_;
  std::vector<const char*> base_environment_;
  bool has_thread_ = false;  // the main thread's
  // The thread's own.
  std::unique_ptr<FrameSocket> socket_;
  uint64_t agent_incarnation_ = 0;
  std::deque<Waiting> waiting_;
  std::atomic<bool> starved_{false};  // waits for a slot
};

}  // namespace brood
