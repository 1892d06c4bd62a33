// SPDX-License-Identifier: Apache-2.0
//
// brood-agent: the process that talks. See docs/architecture.md.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "agent/host/options.h"
#include "agent/journal/journal_check.h"
#include "agent/rpc/server.h"
#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/base/heaps.h"
#include "common/base/paths.h"
#include "common/base/unique_fd.h"
#include "common/base/unix_socket.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace {

// To the main thread, from the loop's: the agent has started.
constexpr int kReady = SIGUSR1;

// Tells whoever started us: one byte when we serve, else a sentence.
void TellReady(int fd, const std::string& text) {
  if (fd < 0) return;
  (void)!::write(fd, text.data(), text.size());
  ::close(fd);
}

int Fail(const brood::Error& error, int ready_fd) {
  std::fprintf(stderr, "brood-agent: %s\n", error.message.c_str());
  TellReady(ready_fd, error.message + "\n");
  return EXIT_FAILURE;
}

// A pipe pair for each running job: take what the system allows.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Under load the journal's blocks and the requests come and go thousands of times a second: memory
// given back at once would be zeroed again at once.
void KeepFreedMemory() {
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
  ::mallopt(M_TOP_PAD, 1 << 20);
}

// Debian builds Abseil with its checks on: each absl::Mutex, and gRPC has many, would go through
// one graph of all that are held, under one lock. The sanitizer builds keep them.
void LeaveLocksUnchecked() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

// Who finds nobody at our socket then knows that we were told to end, and starts no other agent
// unless it is asked to.
void MarkStopped(const std::string& mark) {
  const brood::UniqueFd fd(::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) spdlog::warn("'{}' could not be made: watchers may start this agent again", mark);
}

// Where it listens beside the unix socket of its state.
struct Doors {
  std::vector<brood::Listener::Socket> sockets;
  std::optional<brood::TlsSettings> tls;
};

// They need no state, and what is refused here has started no process.
brood::Result<Doors> OpenDoors(const brood::AgentOptions& options) {
  Doors doors;
  if (options.listen_host.empty()) return doors;
  auto door = brood::Listener::Door::kPlaintext;
  if (!options.insecure_loopback) {
    brood::Result<brood::TlsSettings> tls =
        brood::LoadTlsSettings(options.tls, options.configuration);
    if (!tls) {
      if (tls.error().reason == "NO_CERTIFICATE") {
        tls.error().message += "; or say --insecure-loopback, for this machine's own users";
      }
      return tls.error();
    }
    doors.tls = std::move(*tls);
    door = brood::Listener::Door::kTls;
  }
  std::string bound;
  brood::Result<brood::Listener::Socket> tcp =
      brood::Listener::ListenTcp(options.listen_host, options.listen_port, door, &bound);
  if (!tcp) return tcp.error();
  if (doors.tls) {
    spdlog::info("listening on {} with TLS as '{}'", bound, doors.tls->identity.Uri());
  } else {
    spdlog::warn("listening on {} in plaintext: any local user can run jobs here", bound);
  }
  doors.sockets.push_back(std::move(*tcp));
  return doors;
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("brood-agent"));
  brood::Result<brood::AgentOptions> parsed = brood::ParseAgentOptions(argc, argv);
  if (!parsed) return Fail(parsed.error(), -1);
  const brood::AgentOptions& options = *parsed;
  if (!options.check_journal.empty()) {
    const brood::Status bad = brood::CheckJournal(options.check_journal, std::cout);
    return bad ? Fail(*bad, -1) : EXIT_SUCCESS;
  }
  ::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  KeepFreedMemory();
  LeaveLocksUnchecked();
  // A job's memory is taken and given back by many threads, each with a heap of its own: sixteen of
  // them on two processors kept a third more for the same ten thousand jobs, and kept growing.
  brood::LimitHeaps();
  // Signals are taken by one thread, by waiting: block them before there is another.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, kReady}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const brood::RealClock clock;
  brood::Result<std::unique_ptr<brood::EventLoop>> loop = brood::EventLoop::Create();
  if (!loop) return Fail(loop.error(), options.ready_fd);
  brood::Result<Doors> doors = OpenDoors(options);
  if (!doors) return Fail(doors.error(), options.ready_fd);
  brood::Result<std::unique_ptr<brood::Agent>> agent =
      brood::Agent::Create(options, &clock, loop->get());
  if (!agent) return Fail(agent.error(), options.ready_fd);
  // Only now, when the state is ours: an agent that runs keeps its socket.
  brood::Result<brood::UniqueFd> local = brood::ListenUnix(options.socket_path);
  if (!local) return Fail(local.error(), options.ready_fd);
  doors->sockets.push_back({std::move(*local), brood::Listener::Door::kUnix});
  const std::string stopped_mark = brood::StoppedMarkPath(options.runtime_directory);
  ::unlink(stopped_mark.c_str());
  const auto stop = [] { ::kill(::getpid(), SIGTERM); };
  brood::Result<std::unique_ptr<brood::Server>> server =
      brood::Server::Create(agent->get(), std::move(doors->sockets), doors->tls, stop);
  if (!server) return Fail(server.error(), options.ready_fd);
  std::promise<brood::Status> started;
  (*agent)->Start([&started](const brood::Status& failed) {
    // Commands and calls need a parent; without one the agent still answers, and says why.
    if (failed) spdlog::error("{}", failed->message);
    started.set_value(failed);
    ::kill(::getpid(), kReady);
  });
  std::thread loop_thread([&loop] { (*loop)->Run(); });

  brood::Status not_served;
  while (!not_served) {
    siginfo_t signal{};
    if (::sigwaitinfo(&signals, &signal) < 0) continue;
    if (signal.si_signo != kReady) break;
    if (signal.si_pid != ::getpid()) continue;  // a stranger's
    // Only now: a client that came earlier would find named parents without their tasks.
    not_served = (*server)->Serve();
    const brood::Status failed = not_served ? not_served : started.get_future().get();
    TellReady(options.ready_fd, failed ? failed->message + "\n" : std::string(1, '\n'));
  }
  if (!not_served) MarkStopped(stopped_mark);
  server->reset();
  (*loop)->Stop();
  loop_thread.join();
  ::unlink(options.socket_path.c_str());
  (*agent)->WriteLastSnapshot();
  agent->reset();
  return not_served ? EXIT_FAILURE : EXIT_SUCCESS;
}
