// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/process_guard.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

// For a process that has nothing left to do but to end.
constexpr std::chrono::milliseconds kEndPatience(2000);
constexpr std::chrono::milliseconds kKillPatience(2000);
// A killed process may have started another one just before; each round kills a generation.
constexpr int kKillRounds = 20;

// All below us that lives; our zombies are ours to reap.
std::vector<Process> Alive() {
  std::vector<Process> below = ProcessTable::Read().Below({::getpid()});
  std::erase_if(below, [](const Process& process) { return process.state == 'Z'; });
  return below;
}

// Takes the status of every child that has ended (with `flags` 0: of every child, waiting for
// it); that of `body` is kept. False once it has ended.
bool Reap(pid_t body, int flags, int* status) {
  bool running = true;
  int ended = 0;
  while (const pid_t pid = ::waitpid(-1, &ended, flags)) {
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) break;
    if (pid == body) {
      *status = ended;
      running = false;
    }
  }
  return running;
}

void KillAll(pid_t body, int* status) {
  for (int round = 0; round < kKillRounds; ++round) {
    const std::vector<Process> alive = Alive();
    if (alive.empty()) {
      // A leader that looks like a zombie may still have threads that are ending: wait for them.
      Reap(body, 0, status);
      return;
    }
    AwaitEnd(alive, SIGKILL, kKillPatience);
    Reap(body, WNOHANG, status);
  }
}

}  // namespace

Result<Guarded> RunGuarded(const std::function<int()>& body) {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return ErrnoError(errno, "PR_SET_CHILD_SUBREAPER");
  // Whoever started us may have ignored it, and then the kernel tells nobody of an end.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t watched;
  sigset_t before;
  sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&watched, signal);
  ::sigprocmask(SIG_BLOCK, &watched, &before);
  const UniqueFd signals(::signalfd(-1, &watched, SFD_CLOEXEC));
  if (!signals) return ErrnoError(errno, "signalfd");

  std::cout.flush();
  std::cerr.flush();
  const pid_t child = ::fork();
  if (child < 0) return ErrnoError(errno, "fork");
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    const int code = body();
    std::cout.flush();
    std::cerr.flush();
    ::_exit(code);
  }

  Guarded guarded;
  int status = 0;
  bool running = true;
  while (running && guarded.stopped_by == 0) {
    signalfd_siginfo signal{};
    if (::read(signals.get(), &signal, sizeof(signal)) != sizeof(signal)) continue;
    if (signal.ssi_signo == SIGCHLD) {
      running = Reap(child, WNOHANG, &status);
    } else {
      guarded.stopped_by = static_cast<int>(signal.ssi_signo);
    }
  }
  if (!running) guarded.left = AwaitEnd(Alive(), 0, kEndPatience);
  KillAll(child, &status);
  guarded.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return guarded;
}

}  // namespace brood
