// SPDX-License-Identifier: Apache-2.0
#include "controller/client/clustershell.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "controller/client/host_set.h"

namespace brood {
namespace {

constexpr int64_t kPatienceNanos = 5'000'000'000;

// Waits for that to be readable; false if it is too late.
bool AwaitReadable(int fd, int64_t until_ns) {
  for (;;) {
    const int64_t left = until_ns - BootTimeNanos();
    if (left <= 0) return false;
    pollfd ready{fd, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(left / 1'000'000) + 1);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

// All that comes until the end, unless it is too long or too late.
std::optional<std::string> ReadAll(int fd, int64_t until_ns) {
  std::string text;
  char piece[4096];
  while (AwaitReadable(fd, until_ns)) {
    const ssize_t got = ::read(fd, piece, sizeof(piece));
    if (got == 0) return text;
    if (got < 0 || text.size() > kHostSetTextMax) return std::nullopt;
    text.append(piece, static_cast<size_t>(got));
  }
  return std::nullopt;
}

// The status of a child, which is killed if it has not ended by then.
int AwaitEnd(pid_t pid, int64_t until_ns) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd || !AwaitReadable(pidfd.get(), until_ns)) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::optional<std::string> AskClusterShell(const std::string& group) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, in.get(), 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  const std::string set = "@" + group;
  const char* const words[] = {"nodeset", "-f", "--", set.c_str(), nullptr};
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, words[0], &actions, nullptr, const_cast<char* const*>(words), environ);
  posix_spawn_file_actions_destroy(&actions);
  in.reset();
  if (failed != 0) return std::nullopt;
  const int64_t until_ns = BootTimeNanos() + kPatienceNanos;
  std::optional<std::string> text = ReadAll(out.get(), until_ns);
  // What closed its output need not end.
  const int status = AwaitEnd(pid, text ? until_ns : 0);
  if (!text || status != 0) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  if (text->empty()) return std::nullopt;
  return text;
}

}  // namespace brood
