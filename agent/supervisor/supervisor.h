// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_writer.h"
#include "agent/supervisor/options.h"
#include "agent/supervisor/supervisor_core.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/frame_socket.h"
#include "common/base/unique_fd.h"

namespace brood {

// An agent and perhaps its predecessor connect; more is a mistake, and must not
// cost the supervisor its descriptors.
inline constexpr size_t kSupervisorConnectionsMax = 16;

// Performs what SupervisorCore decides: takes frames, starts parents, waits for
// every child, notes what it sees. One thread: the loop's.
class Supervisor {
 public:
  // `signals` is a signalfd for SIGCHLD and SIGTERM, both blocked.
  Supervisor(SupervisorOptions options, EventLoop* loop, const Clock* clock, UniqueFd listener,
             UniqueFd signals, std::unique_ptr<OutboxWriter> outbox);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  Status Register();

 private:
  void Accept();
  void MakeRoom();
  void OnSignals();
  void OnConnection(ConnectionId id, uint32_t events);
  void OnFrame(ConnectionId id, const std::string& payload);
  void Close(ConnectionId id);
  void Send(ConnectionId id, const internal::v1::FromSupervisor& frame, bool with_bell = false);
  internal::v1::FromSupervisor HelloFrame() const;

  void Step(const SupervisorInput& input);
  void Do(const Welcome& effect);
  void Do(const Drop& effect);
  void Do(const LaunchParent& effect);
  void Do(const RefuseParent& effect);
  void Do(const KillChild& effect);
  void Do(const NoteEnd& effect);
  void Do(const End& effect);

  static void LetGo(const UniqueFd& go);
  void WaitForChildren();
  bool AppendNote(const Note& note, const std::string& text);
  void RetryLater();

  const SupervisorOptions options_;
  EventLoop* const loop_;
  const Clock* const clock_;
  const UniqueFd listener_;
  const UniqueFd signals_;
  const std::unique_ptr<OutboxWriter> outbox_;
  SupervisorCore core_;

  struct Connection {
    explicit Connection(UniqueFd fd) : socket(std::move(fd)) {}
    FrameSocket socket;
    bool said_hello = false;
  };
  std::map<ConnectionId, Connection> connections_;
  ConnectionId next_connection_ = 1;

  Note ended_;          // the zombie being looked at
  bool noted_ = false;  // its end is in the outbox
  // PARENT_STARTED notes that found no room, and whom to let go once they are written.
  struct HeldStart {
    Note note;
    std::string name;
    UniqueFd go;
  };
  std::deque<HeldStart> starts_;
  bool retry_armed_ = false;
  bool ending_ = false;
};

}  // namespace brood
