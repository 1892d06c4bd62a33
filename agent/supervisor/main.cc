// SPDX-License-Identifier: Apache-2.0
//
// brood-supervisor: the process that waits. It starts parents, adopts what they
// leave behind, and notes how each ended; it outlives the agent and talks to
// whichever one is the newest.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "agent/outbox/outbox_writer.h"
#include "agent/supervisor/options.h"
#include "agent/supervisor/supervisor.h"
#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/base/failpoint.h"
#include "common/base/unix_socket.h"

namespace {

int Fail(const brood::Error& error) {
  std::fprintf(stderr, "brood-supervisor: %s\n", error.message.c_str());
  return EXIT_FAILURE;
}

// A descriptor that leaked from the starter would stay open as long as we live.
void CloseInherited(int ready_fd) {
  if (ready_fd > 3) ::close_range(3, static_cast<unsigned>(ready_fd) - 1, 0);
  ::close_range(ready_fd >= 3 ? static_cast<unsigned>(ready_fd) + 1 : 3, ~0U, 0);
  // 0 to 2 are never anything else, so that no message lands in the outbox.
  int fd;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd < 2);
  if (fd > 2) ::close(fd);
}

brood::Result<brood::UniqueFd> WatchSignals() {
  // Losing a terminal or a peer, or a limit on file sizes, is no reason to end.
  for (const int ignored : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGXFSZ}) {
    ::signal(ignored, SIG_IGN);
  }
  // Whoever started us may have ignored it, and then the kernel keeps no zombies.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  ::sigprocmask(SIG_SETMASK, &watched, nullptr);
  brood::UniqueFd fd(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return brood::ErrnoError(errno, "signalfd");
  return fd;
}

}  // namespace

int main(int count, char** arguments) {
  brood::Result<brood::SupervisorOptions> options = brood::ParseSupervisorOptions(count, arguments);
  if (!options) return Fail(options.error());
  const int ready_fd = options->ready_fd;
  const std::string socket_path = options->socket_path;
  CloseInherited(ready_fd);

  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return Fail(brood::ErrnoError(errno, "PR_SET_CHILD_SUBREAPER"));
  }
  brood::Result<brood::UniqueFd> signals = WatchSignals();
  if (!signals) return Fail(signals.error());
  brood::Result<std::unique_ptr<brood::EventLoop>> loop = brood::EventLoop::Create();
  if (!loop) return Fail(loop.error());
  // Two that an agent and the one after it start at once would take the socket from each other.
  brood::UniqueFd lock(
      ::open((socket_path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return Fail(brood::ErrnoError(errno, "open '" + socket_path + ".lock'"));
  if (::flock(lock.get(), LOCK_EX) != 0 || brood::ConnectUnix(socket_path)) {
    std::fprintf(stderr, "brood-supervisor: another one serves '%s'\n", socket_path.c_str());
    return EXIT_FAILURE;
  }
  // Only now: the other one's notes are in that folder.
  brood::Result<std::unique_ptr<brood::OutboxWriter>> outbox =
      brood::OutboxWriter::Create(options->directory);
  if (!outbox) return Fail(outbox.error());
  brood::Result<brood::UniqueFd> listener = brood::ListenUnix(socket_path);
  if (!listener) return Fail(listener.error());
  brood::Failpoint("supervisor.listens");
  lock.reset();
  struct stat own {};
  ::stat(socket_path.c_str(), &own);

  const brood::RealClock clock;
  brood::Supervisor supervisor(*std::move(options), loop->get(), &clock, *std::move(listener),
                               *std::move(signals), *std::move(outbox));
  if (brood::Status failed = supervisor.Register()) return Fail(*failed);
  if (ready_fd >= 0) {
    (void)!::write(ready_fd, "", 1);
    ::close(ready_fd);
  }
  (*loop)->Run();

  // Only if a newer supervisor has not taken the path meanwhile.
  struct stat now {};
  if (::stat(socket_path.c_str(), &now) == 0 && now.st_ino == own.st_ino &&
      now.st_dev == own.st_dev) {
    ::unlink(socket_path.c_str());
  }
  return EXIT_SUCCESS;
}
