// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_reader.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/frame_socket.h"

namespace brood {

// The agent's end of its connection to the supervisor, which it starts if there
// is none. The loop's thread (or before the loop runs).
class SupervisorLink {
 public:
  // What comes from it, in order.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnSupervisorNote(const Note& note, const std::string& text) = 0;
    virtual void OnParentStartFailed(const internal::v1::StartFailed& failed) = 0;
    // The connection ended: the supervisor died, or a newer agent fenced us off.
    virtual void OnSupervisorGone() = 0;
  };

  // Connects to the socket; starts a supervisor with the next incarnation if
  // nobody listens there. Blocks until its hello is there, at most 10 s.
  static Result<std::unique_ptr<SupervisorLink>> Open(const std::string& state_directory,
                                                      const std::string& socket_path,
                                                      uint64_t agent_incarnation, EventLoop* loop,
                                                      Listener* listener);
  ~SupervisorLink();

  // Of the supervisors whose notes are still there, in order; and where those are.
  static std::vector<uint64_t> ListIncarnations(const std::string& state_directory);
  static std::string Directory(const std::string& state_directory, uint64_t incarnation);

  // Notes so far, e.g. those made while no agent was there.
  void ReadNotes();
  void ReleaseNotes() { outbox_.ReleaseRead(); }
  void Send(const internal::v1::ToSupervisor& frame);

  int pid() const { return pid_; }
  uint64_t incarnation() const { return incarnation_; }

 private:
  SupervisorLink(const internal::v1::FromSupervisor& hello, UniqueFd bell,
                 std::unique_ptr<FrameSocket> socket, std::string directory, EventLoop* loop,
                 Listener* listener);
  // `*ended`: there was one, and it did not answer but ended.
  static Result<std::unique_ptr<SupervisorLink>> OpenOnce(const std::string& state_directory,
                                                          const std::string& socket_path,
                                                          uint64_t agent_incarnation,
                                                          EventLoop* loop, Listener* listener,
                                                          bool* ended);
  void OnReadable();
  void Close();

  EventLoop* const loop_;
  Listener* const listener_;
  std::unique_ptr<FrameSocket> socket_;
  UniqueFd bell_;
  OutboxReader outbox_;
  int pid_ = 0;
  uint64_t incarnation_ = 0;
};

}  // namespace brood
