// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/supervisor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <variant>

#include "agent/supervisor/launch.h"
#include "agent/supervisor/reaper.h"
#include "common/base/failpoint.h"
#include "common/base/lie.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"

namespace brood {
namespace {

namespace frames = internal::v1;

// A full disk, or a host out of descriptors, is looked at again so often: zombies
// keep what could not be noted, and the kernel keeps who could not be let in.
constexpr int64_t kRetryNanos = 200'000'000;

ParentRequest RequestOf(const frames::StartParent& start) {
  ParentRequest request;
  request.name = start.name();
  request.incarnation = start.incarnation();
  request.libraries.assign(start.libraries().begin(), start.libraries().end());
  request.directory = start.directory();
  request.socket_path = start.socket_path();
  request.environment.assign(start.environment().begin(), start.environment().end());
  request.working_directory = start.working_directory();
  request.call_slots = start.call_slots();
  return request;
}

Launch LaunchOf(const std::string& program, const ParentRequest& request) {
  Launch launch;
  launch.program = program;
  launch.arguments = {program,
                      "--name",
                      request.name,
                      "--incarnation",
                      std::to_string(request.incarnation),
                      "--directory",
                      request.directory,
                      "--socket",
                      request.socket_path,
                      "--call-slots",
                      std::to_string(request.call_slots)};
  for (const std::string& library : request.libraries) {
    launch.arguments.emplace_back("--library");
    launch.arguments.push_back(library);
  }
  // Its standard input tells it that its start is noted; else it ends with us.
  launch.arguments.insert(launch.arguments.end(), {"--go-fd", "0"});
  launch.environment = request.environment;
  launch.working_directory = request.working_directory;
  launch.log_path = request.directory + "/parent.log";
  return launch;
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, EventLoop* loop, const Clock* clock,
                       UniqueFd listener, UniqueFd signals, std::unique_ptr<OutboxWriter> outbox)
    : options_(std::move(options)),
      loop_(loop),
      clock_(clock),
      listener_(std::move(listener)),
      signals_(std::move(signals)),
      outbox_(std::move(outbox)) {}

Status Supervisor::Register() {
  if (Status failed = loop_->Add(listener_.get(), EPOLLIN, [this](uint32_t) { Accept(); })) {
    return failed;
  }
  return loop_->Add(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignals(); });
}

void Supervisor::Accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    // Who waits would wake us again at once, and we could do no more than now.
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    loop_->Change(listener_.get(), 0);
    loop_->At(BootTime{clock_->Now().boot.ns + kRetryNanos},
              [this] { loop_->Change(listener_.get(), EPOLLIN); });
    return;
  }
  const Result<PeerCredentials> peer = ReadPeerCredentials(fd.get());
  if (!peer || peer->uid != ::geteuid()) return;
  MakeRoom();
  const ConnectionId id = next_connection_++;
  const int number = fd.get();
  connections_.try_emplace(id, std::move(fd));
  if (loop_->Add(number, EPOLLIN, [this, id](uint32_t events) { OnConnection(id, events); })) {
    connections_.erase(id);
  }
}

// The oldest that never said what it is goes first.
void Supervisor::MakeRoom() {
  if (connections_.size() < kSupervisorConnectionsMax) return;
  for (const auto& [id, connection] : connections_) {
    if (connection.said_hello) continue;
    Close(id);
    return;
  }
}

void Supervisor::OnSignals() {
  signalfd_siginfo seen;
  bool stop = false;
  while (::read(signals_.get(), &seen, sizeof(seen)) == sizeof(seen)) {
    if (seen.ssi_signo == SIGTERM) stop = true;
  }
  // One SIGCHLD may stand for many ends.
  WaitForChildren();
  if (stop) Step(StopArrived{});
}

void Supervisor::OnConnection(ConnectionId id, uint32_t events) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  FrameSocket& socket = found->second.socket;
  if ((events & EPOLLOUT) != 0) {
    if (socket.Flush()) {
      Close(id);
      return;
    }
    if (!socket.wants_write()) loop_->Change(socket.fd(), EPOLLIN);
  }
  if ((events & ~uint32_t{EPOLLOUT}) == 0) return;
  // Kept first: a frame may make the connection go.
  std::vector<std::string> payloads;
  const Result<bool> open =
      socket.Receive([&](std::string_view payload) { payloads.emplace_back(payload); });
  for (const std::string& payload : payloads) OnFrame(id, payload);
  if (!open || !*open) Close(id);
}

void Supervisor::OnFrame(ConnectionId id, const std::string& payload) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  frames::ToSupervisor frame;
  if (!frame.ParseFromString(payload)) {
    Close(id);
    return;
  }
  if (frame.has_hello()) {
    found->second.said_hello = true;
    Step(HelloArrived{id, frame.hello().protocol(), frame.hello().agent_incarnation()});
  }
  if (frame.has_start()) Step(StartArrived{id, RequestOf(frame.start())});
  if (frame.has_kill()) Step(KillArrived{id, frame.kill().name(), frame.kill().incarnation()});
  if (frame.stop()) Step(StopArrived{id});
}

void Supervisor::Close(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  loop_->Remove(found->second.socket.fd());
  connections_.erase(found);
  Step(ConnectionLost{id});
}

void Supervisor::Send(ConnectionId id, const frames::FromSupervisor& frame, bool with_bell) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  FrameSocket& socket = found->second.socket;
  std::vector<int> fds;
  if (with_bell) fds.push_back(outbox_->bell());
  if (socket.Send(frame.SerializeAsString(), fds)) {
    Close(id);
  } else if (socket.wants_write()) {
    loop_->Change(socket.fd(), EPOLLIN | EPOLLOUT);
  }
}

frames::FromSupervisor Supervisor::HelloFrame() const {
  frames::FromSupervisor frame;
  frame.mutable_hello()->set_protocol(kProtocolVersion);
  frame.mutable_hello()->set_incarnation(options_.incarnation);
  frame.mutable_hello()->set_pid(::getpid());
  return frame;
}

void Supervisor::Step(const SupervisorInput& input) {
  for (const SupervisorEffect& effect : core_.Step(input)) {
    std::visit([this](const auto& one) { Do(one); }, effect);
  }
}

void Supervisor::Do(const Welcome& effect) {
  Failpoint("supervisor.welcome");
  frames::FromSupervisor frame = HelloFrame();
  for (const RunningParent& parent : effect.parents) {
    frames::LiveParent* const live = frame.add_parents();
    live->set_name(parent.name);
    live->set_incarnation(parent.incarnation);
    live->set_pid(parent.pid);
    live->set_directory(parent.directory);
    live->set_socket_path(parent.socket_path);
  }
  Send(effect.connection, frame, true);
}

void Supervisor::Do(const Drop& effect) {
  if (effect.with_hello) Send(effect.connection, HelloFrame());
  Close(effect.connection);
}

void Supervisor::Do(const LaunchParent& effect) {
  const ParentRequest& request = effect.request;
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    Do(RefuseParent{effect.connection, request.name, request.incarnation, "socketpair", errno});
    return;
  }
  UniqueFd go(ends[0]);
  UniqueFd awaits_go(ends[1]);
  Launch launch = LaunchOf(options_.parent_program, request);
  launch.input = awaits_go.get();
  Failpoint("supervisor.launch");
  const Launched launched = LaunchProgram(launch);
  Failpoint("supervisor.launched");
  awaits_go.reset();
  if (launched.pid == 0) {
    go.reset();
    Do(RefuseParent{effect.connection, request.name, request.incarnation, launched.step,
                    launched.error_number});
    return;
  }
  Step(ParentLaunched{RunningParent{request.name, request.incarnation, launched.pid,
                                    request.directory, request.socket_path}});
  Note note;
  note.kind = NoteKind::kParentStarted;
  note.pid = launched.pid;
  note.ppid = ::getpid();
  note.start_ns = launched.start_ns;
  note.job_key = request.incarnation;
  // Its end cannot be noted before: this thread alone looks for ends.
  if (!starts_.empty() || !AppendNote(note, request.name)) {
    starts_.push_back(HeldStart{note, request.name, std::move(go)});
    RetryLater();
    return;
  }
  LetGo(go);
}

// It may have ended by now.
void Supervisor::LetGo(const UniqueFd& go) {
  Failpoint("supervisor.let_go");
  (void)::send(go.get(), "", 1, MSG_NOSIGNAL);
}

void Supervisor::Do(const RefuseParent& effect) {
  frames::FromSupervisor frame;
  frame.mutable_failed()->set_name(effect.name);
  frame.mutable_failed()->set_incarnation(effect.incarnation);
  frame.mutable_failed()->set_step(effect.step);
  frame.mutable_failed()->set_error_number(effect.error_number);
  Send(effect.connection, frame);
}

// It is our child and was not reaped: the pid is still its own.
void Supervisor::Do(const KillChild& effect) { ::kill(effect.pid, SIGKILL); }

void Supervisor::Do(const NoteEnd& effect) {
  ended_.kind = effect.name.empty() ? NoteKind::kOrphanExited : NoteKind::kParentEnded;
  ended_.job_key = effect.incarnation;
  if (Lies(Lie::kMadeUpStatus) && effect.name.empty()) {
    ended_.code = CLD_EXITED;
    ended_.status = 0;
  }
  Failpoint("supervisor.end.seen");
  noted_ = AppendNote(ended_, effect.name);
  Failpoint("supervisor.end.noted");
}

void Supervisor::Do(const End&) {
  ending_ = true;
  if (starts_.empty()) loop_->Stop();
}

// Looks, notes, reaps, in this order: if this process dies in between, the next
// adopter still finds the zombie; if the disk is full, the zombie keeps the truth.
void Supervisor::WaitForChildren() {
  while (!starts_.empty()) {
    if (!AppendNote(starts_.front().note, starts_.front().name)) {
      RetryLater();
      return;
    }
    LetGo(starts_.front().go);
    starts_.pop_front();
  }
  for (;;) {
    ended_ = Note();
    noted_ = false;
    if (!FindEndedChild(&ended_)) break;
    // An orphan is here because its parent has ended: that is told first.
    if (core_.parents().count(ended_.pid) == 0) {
      for (const auto& [pid, parent] : core_.parents()) {
        if (FindEndedChild(pid, &ended_)) break;
      }
    }
    Step(ChildEnded{ended_.pid});
    if (!noted_) {
      RetryLater();
      return;
    }
    const pid_t pid = ended_.pid;
    ReapChild(pid);
    Failpoint("supervisor.end.reaped");
    Step(ChildReaped{pid});
  }
  if (ending_) loop_->Stop();
}

bool Supervisor::AppendNote(const Note& note, const std::string& text) {
  Note stamped = note;
  if (stamped.boot_ns == 0) {
    const Instant now = clock_->Now();
    stamped.boot_ns = now.boot.ns;
    stamped.wall_ns = now.wall.ns;
  }
  return outbox_->Append(stamped, text);
}

void Supervisor::RetryLater() {
  if (retry_armed_) return;
  retry_armed_ = true;
  loop_->At(BootTime{clock_->Now().boot.ns + kRetryNanos}, [this] {
    retry_armed_ = false;
    WaitForChildren();
  });
}

}  // namespace brood
