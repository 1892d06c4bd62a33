// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/supervisor/supervisor_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "common/base/clock.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"
#include "gtest/gtest.h"

namespace brood::testing {

namespace frames = internal::v1;

bool WaitReadable(int fd) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, static_cast<int>(kPatienceNanos / 1'000'000)) == 1;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

AgentLink::AgentLink(const std::string& socket_path) : socket_(*ConnectUnix(socket_path)) {}

void AgentLink::Say(const frames::ToSupervisor& frame) {
  // A connection that was fenced off may be gone: Listen tells.
  (void)socket_.Send(frame.SerializeAsString());
  while (socket_.wants_write()) {
    pollfd waited{socket_.fd(), POLLOUT, 0};
    if (::poll(&waited, 1, static_cast<int>(kPatienceNanos / 1'000'000)) != 1) return;
    if (socket_.Flush()) return;
  }
}

void AgentLink::SayHello(uint64_t incarnation, uint32_t protocol) {
  frames::ToSupervisor frame;
  frame.mutable_hello()->set_protocol(protocol);
  frame.mutable_hello()->set_agent_incarnation(incarnation);
  Say(frame);
}

std::optional<frames::FromSupervisor> AgentLink::Listen() {
  while (received_.empty() && !closed_) {
    if (!WaitReadable(socket_.fd())) {
      ADD_FAILURE() << "the supervisor said nothing";
      return std::nullopt;
    }
    const Result<bool> open =
        socket_.Receive([this](std::string_view payload) { received_.emplace_back(payload); });
    closed_ = !open || !*open;
  }
  if (received_.empty()) return std::nullopt;
  frames::FromSupervisor frame;
  EXPECT_TRUE(frame.ParseFromString(received_.front()));
  received_.erase(received_.begin());
  return frame;
}

SupervisorProcess::SupervisorProcess(bool by_agent) {
  // What a supervisor leaves comes to us and is ended in the destructor.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  char folder[] = "/tmp/brood-supervisor-XXXXXX";
  directory_ = ::mkdtemp(folder);
  socket_path_ = directory_ + "/supervisor.sock";
  int ready[2];
  EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const std::string ready_fd = "200";
  const auto start = [&] {
    ::setsid();
    ::dup2(ready[1], 200);
    ::execl(SUPERVISOR, SUPERVISOR, "--directory", directory_.c_str(), "--socket",
            socket_path_.c_str(), "--incarnation", "3", "--ready-fd", ready_fd.c_str(),
            "--parent-program", STAND_IN_PARENT, nullptr);
    ::_exit(99);
  };
  pid_t first = ::fork();
  if (first == 0) {
    if (!by_agent) {
      // Should the test itself be killed, nothing of it stays.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      start();
    }
    if (::fork() == 0) start();
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char byte;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1) << "no supervisor";
  ::close(ready[0]);
  const UniqueFd probe = *ConnectUnix(socket_path_);
  pid_ = ReadPeerCredentials(probe.get())->pid;
  if (by_agent) {
    ::kill(first, SIGKILL);
    EXPECT_EQ(::waitpid(first, nullptr, 0), first);
  } else {
    EXPECT_EQ(pid_, first);
  }
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  reader_ = std::make_unique<OutboxReader>(directory_);
}

SupervisorProcess::~SupervisorProcess() {
  if (pidfd_) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  }
  // All it had are our children now; they are ended one after the other.
  for (;;) {
    const std::string children =
        ReadFile("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    std::istringstream list(children);
    pid_t child;
    while (list >> child) ::kill(child, SIGKILL);
    if (::waitpid(-1, nullptr, 0) < 0) break;
  }
  std::filesystem::remove_all(directory_);
}

frames::FromSupervisor SupervisorProcess::Meet(AgentLink* link, uint64_t agent_incarnation) {
  link->SayHello(agent_incarnation, kProtocolVersion);
  std::optional<frames::FromSupervisor> answer = link->Listen();
  if (!answer) {
    ADD_FAILURE() << "no hello";
    return {};
  }
  bell_ = link->TakeFd();
  EXPECT_TRUE(bell_) << "no bell came with the hello";
  return *answer;
}

frames::StartParent SupervisorProcess::StartOf(const std::string& name, uint64_t incarnation,
                                               const std::string& act) {
  frames::StartParent start;
  start.set_name(name);
  start.set_incarnation(incarnation);
  start.set_directory(directory_ + "/" + name + "-" + std::to_string(incarnation));
  std::filesystem::create_directory(start.directory());
  start.set_socket_path(start.directory() + "/socket");
  start.add_environment("ACT=" + act);
  start.set_call_slots(64);
  return start;
}

const std::vector<NoteSeen>& SupervisorProcess::WaitForNotes(size_t count) {
  const int64_t deadline = BootTimeNanos() + kPatienceNanos;
  for (;;) {
    reader_->Read([this](const Note& note, std::string_view text) {
      notes_.push_back({note, std::string(text)});
    });
    if (notes_.size() >= count || BootTimeNanos() > deadline) break;
    if (!WaitReadable(bell_.get())) break;
    uint64_t rings;
    (void)!::read(bell_.get(), &rings, sizeof(rings));
  }
  EXPECT_GE(notes_.size(), count) << "too few notes";
  return notes_;
}

const NoteSeen* SupervisorProcess::FindNote(NoteKind kind, pid_t pid) const {
  for (const NoteSeen& seen : notes_) {
    if (seen.note.kind == kind && (pid == 0 || seen.note.pid == pid)) return &seen;
  }
  return nullptr;
}

size_t SupervisorProcess::CountDescriptors() const {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid_) + "/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

int SupervisorProcess::WaitForEnd() {
  EXPECT_TRUE(WaitReadable(pidfd_.get())) << "the supervisor did not end";
  int status = -1;
  ::waitpid(pid_, &status, 0);
  pidfd_.reset();
  return status;
}

}  // namespace brood::testing
