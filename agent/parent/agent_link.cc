// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/agent_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "agent/parent/limits.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"

namespace brood {

using internal::v1::FromParent;
using internal::v1::ToParent;

AgentLink::AgentLink(EventLoop* loop, ParentIdentity identity, AgentRequests* requests)
    : loop_(loop), identity_(std::move(identity)), requests_(requests) {}

Status AgentLink::Listen(const std::string& path) {
  Result<UniqueFd> listener = ListenUnix(path);
  if (!listener) return listener.error();
  listener_ = *std::move(listener);
  path_ = path;
  return loop_->Add(listener_.get(), EPOLLIN, [this](uint32_t) { Accept(); });
}

void AgentLink::StopListening() {
  if (!listener_) return;
  loop_->Remove(listener_.get());
  listener_.reset();
  ::unlink(path_.c_str());
}

void AgentLink::Accept() {
  for (;;) {
    UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      // Who waits would wake us again at once, and we could do no more than now.
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) AcceptLater();
      return;
    }
    const Result<PeerCredentials> credentials = ReadPeerCredentials(peer.get());
    // The mode of the socket says the same; a second lock costs nothing.
    if (!credentials || credentials->uid != ::geteuid()) continue;
    if (ungreeted_.size() == kUngreetedConnectionsMax) {
      // An agent says hello at once: who has been silent for longest is none.
      loop_->Remove(ungreeted_.begin()->second->fd());
      ungreeted_.erase(ungreeted_.begin());
    }
    const int fd = peer.get();
    const uint64_t id = next_ungreeted_++;
    ungreeted_[id] = std::make_unique<FrameSocket>(std::move(peer));
    if (loop_->Add(fd, EPOLLIN, [this, id](uint32_t) { OnGreeting(id); })) ungreeted_.erase(id);
  }
}

void AgentLink::AcceptLater() {
  loop_->Change(listener_.get(), 0);
  loop_->At(BootTime{BootTimeNanos() + kRetryNanos}, [this] {
    if (listener_) loop_->Change(listener_.get(), EPOLLIN);
  });
}

void AgentLink::Greet(std::string_view payload, Greeting* greeting) {
  if (greeting->broken) return;
  if (greeting->said) {
    greeting->frames.emplace_back(payload);
    return;
  }
  ToParent frame;
  if (!frame.ParseFromArray(payload.data(), static_cast<int>(payload.size())) ||
      !frame.has_hello()) {
    greeting->broken = true;
    return;
  }
  greeting->said = true;
  greeting->hello.Swap(frame.mutable_hello());
  frame.clear_hello();
  if (frame.ByteSizeLong() > 0) greeting->frames.push_back(frame.SerializeAsString());
}

void AgentLink::OnGreeting(uint64_t id) {
  Greeting greeting;
  const auto found = ungreeted_.find(id);
  const Result<bool> open = found->second->Receive(
      [this, &greeting](std::string_view payload) { Greet(payload, &greeting); });
  const bool ended = !open || !*open;
  if (!greeting.said && !greeting.broken && !ended) return;  // Not whole yet.

  std::unique_ptr<FrameSocket> socket = std::move(found->second);
  loop_->Remove(socket->fd());
  ungreeted_.erase(found);
  if (greeting.broken || ended) return;
  const internal::v1::Hello& hello = greeting.hello;
  if (hello.protocol() != kProtocolVersion) {
    std::fprintf(
        stderr,
        "brood-parent %s: an agent speaks protocol %u, this parent %u; end this parent and "
        "start a new one\n",
        identity_.name.c_str(), hello.protocol(), kProtocolVersion);
    // So that the agent can say the same.
    (void)socket->Send(HelloFrame().SerializeAsString());
    return;
  }
  if (hello.agent_incarnation() < agent_incarnation_ && !Planted(Bug::kOlderAgentObeyed))
    return;  // Fenced off.
  if (hello.agent_incarnation() > agent_incarnation_) {
    CloseMain();
    CloseQuiet();
  }
  agent_incarnation_ = hello.agent_incarnation();
  if (!hello.commands()) {
    TakeMain(std::move(socket), std::move(greeting));
    return;
  }
  if (socket->Send(HelloFrame().SerializeAsString())) return;
  if (!greeting.frames.empty()) {
    socket =
        requests_->OnCommands(agent_incarnation_, std::move(socket), std::move(greeting.frames));
  }
  if (socket != nullptr) KeepQuiet(std::move(socket));
}

void AgentLink::KeepQuiet(std::unique_ptr<FrameSocket> socket) {
  CloseQuiet();
  quiet_commands_ = std::move(socket);
  if (loop_->Add(quiet_commands_->fd(), EPOLLIN, [this](uint32_t) { OnFirstCommands(); })) {
    quiet_commands_.reset();
  }
}

void AgentLink::OnFirstCommands() {
  std::vector<std::string> frames;
  const Result<bool> open = quiet_commands_->Receive(
      [&frames](std::string_view payload) { frames.emplace_back(payload); });
  const bool ended = !open || !*open;
  if (!ended && frames.empty()) return;
  loop_->Remove(quiet_commands_->fd());
  std::unique_ptr<FrameSocket> socket = std::move(quiet_commands_);
  // What was sent before the end counts: the agent has journaled it as told.
  if (!frames.empty())
    socket = requests_->OnCommands(agent_incarnation_, std::move(socket), std::move(frames));
  if (socket != nullptr && !ended) KeepQuiet(std::move(socket));
}

void AgentLink::CloseQuiet() {
  if (quiet_commands_ == nullptr) return;
  loop_->Remove(quiet_commands_->fd());
  quiet_commands_.reset();
}

FromParent AgentLink::HelloFrame() const {
  FromParent frame;
  internal::v1::Hello* const hello = frame.mutable_hello();
  hello->set_protocol(kProtocolVersion);
  hello->set_name(identity_.name);
  hello->set_incarnation(identity_.incarnation);
  hello->set_pid(::getpid());
  return frame;
}

void AgentLink::TakeMain(std::unique_ptr<FrameSocket> socket, Greeting greeting) {
  CloseMain();
  const int fd = socket->fd();
  uint64_t connection = 0;
  {
    // Nothing may go out before hello.
    const std::lock_guard lock(mutex_);
    main_ = std::move(socket);
    connection = ++connection_;
    FromParent frame = HelloFrame();
    frame.set_bells(true);
    (void)main_->Send(frame.SerializeAsString(), {identity_.outbox_bell, identity_.doorbell});
  }
  if (loop_->Add(fd, EPOLLIN, [this](uint32_t events) { OnMain(events); })) {
    CloseMain();
    return;
  }
  ArmWrite(connection);
  Failpoint("parent.greeted");
  requests_->OnAgent(agent_incarnation_, connection);
  // Last: who reads it has the streams of all jobs there were.
  FromParent tasks;
  *tasks.mutable_tasks() = tasks_;
  SendToAgent(tasks, {});
  for (const std::string& payload : greeting.frames) Handle(payload);
}

void AgentLink::CloseMain() {
  if (main_ == nullptr) return;
  loop_->Remove(main_->fd());
  const std::lock_guard lock(mutex_);
  main_.reset();
}

void AgentLink::OnMain(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    const std::lock_guard lock(mutex_);
    if (!main_->Flush() && !main_->wants_write()) loop_->Change(main_->fd(), EPOLLIN);
  }
  const Result<bool> open = main_->Receive([this](std::string_view payload) { Handle(payload); });
  if ((!open || !*open) && Planted(Bug::kEndOfFileIsDeath)) ::_exit(0);
  if (!open || !*open) CloseMain();
}

void AgentLink::Handle(std::string_view payload) {
  ToParent frame;
  if (frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    requests_->OnFrame(agent_incarnation_, std::move(frame));
  }
}

uint64_t AgentLink::SendToAgent(const FromParent& frame, const std::vector<int>& fds) {
  const std::string payload = frame.SerializeAsString();
  const std::lock_guard lock(mutex_);
  if (main_ == nullptr) return 0;
  const bool waited = main_->wants_write();
  if (main_->Send(payload, fds)) {
    // Gone, or it does not read: the loop sees the hang-up and closes it.
    ::shutdown(main_->fd(), SHUT_RDWR);
    return 0;
  }
  if (main_->wants_write() && !waited) {
    loop_->Post([this, connection = connection_] { ArmWrite(connection); });
  }
  return connection_;
}

void AgentLink::ArmWrite(uint64_t connection) {
  const std::lock_guard lock(mutex_);
  if (main_ != nullptr && connection == connection_ && main_->wants_write()) {
    loop_->Change(main_->fd(), EPOLLIN | EPOLLOUT);
  }
}

}  // namespace brood
