// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parent/job_streams.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/frame_socket.h"
#include "common/base/unique_fd.h"

namespace brood {

// What comes from the agent; in the loop's thread.
class AgentRequests {
 public:
  virtual ~AgentRequests() = default;
  // A frame of the main connection.
  virtual void OnFrame(uint64_t agent_incarnation, internal::v1::ToParent frame) = 0;
  // A commands connection that has said its hello, with its first frames. Gives it back if nobody
  // could take it over; the frames are dealt with all the same.
  virtual std::unique_ptr<FrameSocket> OnCommands(uint64_t agent_incarnation,
                                                  std::unique_ptr<FrameSocket> socket,
                                                  std::vector<std::string> frames) = 0;
  // A main connection is up: hello is sent, and the tasks will be after this.
  virtual void OnAgent(uint64_t agent_incarnation, uint64_t connection) = 0;
};

// Who the parent is, and what an agent gets with its hello.
struct ParentIdentity {
  std::string name;
  uint64_t incarnation = 0;
  int outbox_bell = -1;
  int doorbell = -1;  // read end
};

// The parent's side of its connections to the agent: listens, takes only peers
// of its own user, and lets the newest agent fence off older ones. A connection
// that closes changes nothing else. All in the loop's thread but SendToAgent.
class AgentLink final : public AgentFrames {
 public:
  AgentLink(EventLoop* loop, ParentIdentity identity, AgentRequests* requests);
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  // What is sent after the hello of a main connection, and after the streams of all jobs.
  void SetTasks(internal::v1::Tasks tasks) { tasks_ = std::move(tasks); }
  Status Listen(const std::string& path);
  // Takes no more connections and removes the socket; the main one stays.
  void StopListening();

  uint64_t SendToAgent(const internal::v1::FromParent& frame, const std::vector<int>& fds) override;

 private:
  struct Greeting {
    bool said = false;
    bool broken = false;
    internal::v1::Hello hello;
    std::vector<std::string> frames;  // that came after it
  };
  void Accept();
  void AcceptLater();
  void OnGreeting(uint64_t id);
  void Greet(std::string_view payload, Greeting* greeting);
  void KeepQuiet(std::unique_ptr<FrameSocket> socket);
  void OnFirstCommands();
  void CloseQuiet();
  void TakeMain(std::unique_ptr<FrameSocket> socket, Greeting greeting);
  void OnMain(uint32_t events);
  void CloseMain();
  void Handle(std::string_view payload);
  internal::v1::FromParent HelloFrame() const;
  void ArmWrite(uint64_t connection);

  EventLoop* const loop_;
  const ParentIdentity identity_;
  AgentRequests* const requests_;
  internal::v1::Tasks tasks_;
  std::string path_;
  UniqueFd listener_;
  uint64_t agent_incarnation_ = 0;
  uint64_t next_ungreeted_ = 0;
  std::map<uint64_t, std::unique_ptr<FrameSocket>> ungreeted_;  // oldest first
  // A commands connection that has brought no command yet.
  std::unique_ptr<FrameSocket> quiet_commands_;

  // Guards sending on, and replacing, main_; receiving is the loop's alone and
  // touches other members of FrameSocket.
  std::mutex mutex_;
  std::unique_ptr<FrameSocket> main_;
  uint64_t connection_ = 0;  // counts main connections
};

}  // namespace brood
