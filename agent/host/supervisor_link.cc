// SPDX-License-Identifier: Apache-2.0
#include "agent/host/supervisor_link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/paths.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// A supervisor that dies while it is greeted is followed by another one, so often at most.
constexpr int kSupervisorDeathsMax = 3;

// A supervisor listens within milliseconds; a machine under load is given time.
constexpr int kHelloMilliseconds = 10'000;

// How often, and how long apart, one that another agent has started is looked for.
constexpr int kOtherLooks = 200;
constexpr useconds_t kOtherLookMicros = 10'000;

// One more than any there was: each has a folder of its own, and an agent may start several.
uint64_t NextIncarnation(const std::string& state) {
  uint64_t last = 0;
  for (const uint64_t one : SupervisorLink::ListIncarnations(state)) last = std::max(last, one);
  return last + 1;
}

// Double fork and exec: the supervisor belongs to nobody, and outlives us.
Status StartSupervisor(const std::string& state, const std::string& socket_path,
                       uint64_t incarnation) {
  const std::string directory = SupervisorLink::Directory(state, incarnation);
  if (Status failed = MakePrivateDirectory(directory)) return failed;
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return ErrnoError(errno, "pipe2");
  UniqueFd ready_read(ready[0]);
  UniqueFd ready_write(ready[1]);
  const UniqueFd log(::open((state + "/supervisor.log").c_str(),
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!log || !null) return ErrnoError(errno, "open the supervisor's log in '" + state + "'");
  const std::string program = ProgramDirectory() + "/brood-supervisor";
  // All that the child touches is made before the fork: other threads may hold locks.
  const std::string number = std::to_string(incarnation);
  const char* const arguments[] = {
      program.c_str(), "--directory",  directory.c_str(), "--socket", socket_path.c_str(),
      "--incarnation", number.c_str(), "--ready-fd",      "3",        nullptr};
  const pid_t child = FailsAt("supervisor.fork") ? -1 : ::fork();
  if (child < 0) return ErrnoError(errno, "fork");
  if (child == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    // dup2 onto itself would keep the close-on-exec flag.
    if (ready_write.get() == 3) {
      ::fcntl(3, F_SETFD, 0);
    } else {
      ::dup2(ready_write.get(), 3);
    }
    if (::chdir("/") == 0) ::execv(program.c_str(), const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  Failpoint("supervisor.forked");
  ready_write.reset();
  pollfd wait{ready_read.get(), POLLIN, 0};
  char byte = 0;
  if (::poll(&wait, 1, kHelloMilliseconds) != 1 || ::read(ready_read.get(), &byte, 1) != 1) {
    return Error{ErrorCode::kUnavailable, "SUPERVISOR_FAILED",
                 "'" + program + "' did not start; see " + state + "/supervisor.log", ""};
  }
  return Ok();
}

}  // namespace

Result<std::unique_ptr<SupervisorLink>> SupervisorLink::Open(const std::string& state_directory,
                                                             const std::string& socket_path,
                                                             uint64_t agent_incarnation,
                                                             EventLoop* loop, Listener* listener) {
  for (int deaths = 0;; ++deaths) {
    bool ended = false;
    Result<std::unique_ptr<SupervisorLink>> link =
        OpenOnce(state_directory, socket_path, agent_incarnation, loop, listener, &ended);
    // It died between our connecting and its answer: then nobody listens there any more.
    if (link || !ended || deaths == kSupervisorDeathsMax) return link;
  }
}

Result<std::unique_ptr<SupervisorLink>> SupervisorLink::OpenOnce(const std::string& state_directory,
                                                                 const std::string& socket_path,
                                                                 uint64_t agent_incarnation,
                                                                 EventLoop* loop,
                                                                 Listener* listener, bool* ended) {
  Result<UniqueFd> fd = ConnectUnix(socket_path);
  if (!fd) {
    const Status failed =
        StartSupervisor(state_directory, socket_path, NextIncarnation(state_directory));
    fd = ConnectUnix(socket_path);
    // Another one may be about to listen, which an agent before this one had started.
    for (int look = 0; failed && !fd && look < kOtherLooks; ++look) {
      ::usleep(kOtherLookMicros);
      fd = ConnectUnix(socket_path);
    }
    if (!fd) return failed ? *failed : fd.error();
  }
  auto socket = std::make_unique<FrameSocket>(std::move(*fd));
  internal::v1::ToSupervisor frame;
  frame.mutable_hello()->set_protocol(kProtocolVersion);
  frame.mutable_hello()->set_agent_incarnation(agent_incarnation);
  if (Status failed = socket->Send(frame.SerializeAsString())) {
    *ended = true;
    return *failed;
  }

  internal::v1::FromSupervisor hello;
  UniqueFd bell;
  const int64_t deadline = BootTimeNanos() + int64_t{kHelloMilliseconds} * 1'000'000;
  while (!hello.has_hello() && BootTimeNanos() < deadline) {
    pollfd wait{socket->fd(), POLLIN, 0};
    if (::poll(&wait, 1, kHelloMilliseconds) <= 0) continue;
    const Result<bool> open = socket->Receive([&](std::string_view bytes) {
      internal::v1::FromSupervisor got;
      if (!got.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !got.has_hello())
        return;
      hello = got;
      bell = socket->TakeFd();
    });
    *ended = (!open || !*open) && !hello.has_hello();
    if (!open) return open.error();
    if (!*open) break;
  }
  if (!hello.has_hello() || !bell) {
    return Error{
        ErrorCode::kUnavailable, "SUPERVISOR_SILENT",
        "the supervisor at '" + socket_path + "' did not answer; another version may be running",
        ""};
  }
  return std::unique_ptr<SupervisorLink>(
      new SupervisorLink(hello, std::move(bell), std::move(socket),
                         Directory(state_directory, hello.hello().incarnation()), loop, listener));
}

std::vector<uint64_t> SupervisorLink::ListIncarnations(const std::string& state) {
  std::vector<uint64_t> found;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(state + "/supervisor", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    uint64_t number = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad == std::errc() && rest == name.data() + name.size()) found.push_back(number);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string SupervisorLink::Directory(const std::string& state, uint64_t incarnation) {
  return state + "/supervisor/" + std::to_string(incarnation);
}

SupervisorLink::SupervisorLink(const internal::v1::FromSupervisor& hello, UniqueFd bell,
                               std::unique_ptr<FrameSocket> socket, std::string directory,
                               EventLoop* loop, Listener* listener)
    : loop_(loop),
      listener_(listener),
      socket_(std::move(socket)),
      bell_(std::move(bell)),
      outbox_(std::move(directory)),
      pid_(hello.hello().pid()),
      incarnation_(hello.hello().incarnation()) {
  loop_->Add(socket_->fd(), EPOLLIN, [this](uint32_t) { OnReadable(); });
  loop_->Add(bell_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t rings = 0;
    (void)!::read(bell_.get(), &rings, sizeof(rings));
    ReadNotes();
  });
}

SupervisorLink::~SupervisorLink() {
  if (socket_ != nullptr) Close();
  loop_->Remove(bell_.get());
}

void SupervisorLink::Close() {
  loop_->Remove(socket_->fd());
  socket_.reset();
}

void SupervisorLink::ReadNotes() {
  outbox_.Read([this](const Note& note, std::string_view text) {
    Failpoint("supervisor.note_read");
    listener_->OnSupervisorNote(note, std::string(text));
  });
}

void SupervisorLink::OnReadable() {
  const Result<bool> open = socket_->Receive([this](std::string_view bytes) {
    internal::v1::FromSupervisor frame;
    if (frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && frame.has_failed()) {
      listener_->OnParentStartFailed(frame.failed());
    }
  });
  if (open && *open) return;
  ReadNotes();
  Close();
  listener_->OnSupervisorGone();
}

void SupervisorLink::Send(const internal::v1::ToSupervisor& frame) {
  if (socket_ == nullptr) return;
  // Small frames, few of them: what does not fit now goes with the next one.
  if (const Status failed = socket_->Send(frame.SerializeAsString())) {
    spdlog::warn("supervisor: {}", failed->message);
  }
}

}  // namespace brood
