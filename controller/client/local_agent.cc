// SPDX-License-Identifier: Apache-2.0
#include "controller/client/local_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "common/base/unix_socket.h"

namespace brood {
namespace {

// An agent that replays a long journal on a slow disk needs seconds; one that is
// not there after 20 s hangs.
constexpr int64_t kReadyNanos = 20'000'000'000;
// The descriptor by which a new agent says that it serves.
constexpr int kReadyFd = 3;

Error NotStarted(const std::string& why, const std::string& log) {
  return Error{ErrorCode::kUnavailable, "AGENT_NOT_STARTED",
               "the local agent could not be started: " + why + "; its log is '" + log + "'", ""};
}

// Our environment, with the folders as we know them.
std::vector<std::string> EnvironmentFor(const Paths& paths) {
  std::vector<std::string> variables = {
      "BROOD_STATE_DIR=" + paths.state, "BROOD_RUNTIME_DIR=" + paths.runtime,
      "BROOD_CONFIG=" + paths.config, "BROOD_HOSTS=" + paths.hosts};
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const auto same_name = [text](std::string_view set) {
      return text.substr(0, text.find('=')) == set.substr(0, set.find('='));
    };
    if (std::none_of(variables.begin(), variables.begin() + 4, same_name)) {
      variables.emplace_back(text);
    }
  }
  return variables;
}

// What exec takes; points into `words`.
std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A session of its own, from '/', with no signal blocked or ignored, and no
// descriptor of ours but stdio and the ready pipe.
Result<pid_t> Spawn(const std::string& program, const std::vector<std::string>& arguments,
                    const Paths& paths, int log, int ready) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, log, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, log, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&files, ready, kReadyFd);
  posix_spawn_file_actions_addclosefrom_np(&files, kReadyFd + 1);
  posix_spawn_file_actions_addchdir_np(&files, "/");
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  std::vector<std::string> words = {program, "--ready-fd", std::to_string(kReadyFd)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = EnvironmentFor(paths);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes,
                                  Pointers(words).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return ErrnoError(error, "start '" + program + "'");
  return pid;
}

// What the agent says: one byte when it serves, or a line on why it does not.
// Empty means that it serves.
std::string AwaitReady(int ready) {
  const int64_t give_up = BootTimeNanos() + kReadyNanos;
  std::string said;
  while (true) {
    const int64_t left = give_up - BootTimeNanos();
    pollfd wait{ready, POLLIN, 0};
    const int events = ::poll(&wait, 1, left > 0 ? static_cast<int>(left / 1'000'000) + 1 : 0);
    if (events < 0 && errno == EINTR) continue;
    if (events == 0) return "it did not serve within 20 s";
    char bytes[1024];
    const ssize_t size = ::read(ready, bytes, sizeof(bytes));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    said.append(bytes, static_cast<size_t>(size));
    if (said.size() == 1) {
      // Either the byte of a serving agent, or the first of a line that is still coming.
      pollfd more{ready, POLLIN, 0};
      if (::poll(&more, 1, 0) == 0) return "";
    }
  }
  if (said.size() == 1) return "";
  if (!said.empty() && said.back() == '\n') said.pop_back();
  return said.empty() ? "it ended before it served" : said;
}

// A process of this user, that is.
bool Listens(const std::string& socket_path) {
  const Result<UniqueFd> fd = ConnectUnix(socket_path);
  if (!fd) return false;
  // Without XDG_RUNTIME_DIR the folder has a name in /tmp that anybody may have taken first: a
  // stranger's socket is no agent. Who starts one then hears whose folder it is.
  const Result<PeerCredentials> peer = ReadPeerCredentials(fd->get());
  return peer && peer->uid == ::geteuid();
}

Result<HostAddress> Start(const Paths& paths, const std::string& program_directory,
                          const std::vector<std::string>& arguments, bool although_stopped) {
  if (LocalAgentListens(paths)) return LocalAgentAddress(paths);
  if (Status status = MakePrivateDirectory(paths.runtime)) return *status;
  if (Status status = MakePrivateDirectory(paths.state)) return *status;

  const std::string lock_path = paths.runtime + "/agent-start.lock";
  const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return ErrnoError(errno, "open '" + lock_path + "'");
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return ErrnoError(errno, "lock '" + lock_path + "'");
  }
  // Somebody else may have started it while we waited for the lock.
  if (LocalAgentListens(paths)) return LocalAgentAddress(paths);
  // The mark is older than the end of the listening: now it can be trusted.
  if (!although_stopped && LocalAgentStopped(paths)) return NoLocalAgent(paths);

  const std::string log_path = paths.state + "/agent.log";
  const UniqueFd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return ErrnoError(errno, "open '" + log_path + "'");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  const UniqueFd ready(ends[0]);
  UniqueFd ready_writer(ends[1]);
  const auto pid =
      Spawn(program_directory + "/brood-agent", arguments, paths, log.get(), ready_writer.get());
  ready_writer.reset();
  if (!pid) return NotStarted(pid.error().message, log_path);

  const std::string why = AwaitReady(ready.get());
  if (why.empty() && LocalAgentListens(paths)) return LocalAgentAddress(paths);
  // It failed: take its status, so that no zombie of it stays, if it has ended.
  ::waitpid(*pid, nullptr, WNOHANG);
  return NotStarted(why.empty() ? "it said that it serves, but does not listen" : why, log_path);
}

}  // namespace

HostAddress LocalAgentAddress(const Paths& paths) {
  return HostAddress{kLocalHostName, "unix:" + AgentSocketPath(paths.runtime), false};
}

bool LocalAgentListens(const Paths& paths) { return Listens(AgentSocketPath(paths.runtime)); }

bool LocalAgentStopped(const Paths& paths) {
  struct stat info {};
  // A stranger's file in a folder of /tmp is no mark.
  return ::lstat(StoppedMarkPath(paths.runtime).c_str(), &info) == 0 && info.st_uid == ::geteuid();
}

bool LocalAgentDied(const Paths& paths) {
  return !LocalAgentListens(paths) && !LocalAgentStopped(paths) && LocalSupervisorListens(paths);
}

bool LocalSupervisorListens(const Paths& paths) {
  return Listens(SupervisorSocketPath(paths.runtime));
}

Error NoLocalAgent(const Paths& paths) {
  const std::string none = "no agent runs on this machine";
  if (LocalAgentStopped(paths)) {
    return Error{ErrorCode::kUnavailable, "AGENT_STOPPED",
                 none + ": it was stopped; `brood run` or `brood agent run` starts it again", ""};
  }
  return Error{ErrorCode::kUnavailable, "NO_LOCAL_AGENT",
               none + "; `brood run` or `brood agent run` starts one", ""};
}

Result<HostAddress> EnsureLocalAgent(const Paths& paths, const std::string& program_directory,
                                     const std::vector<std::string>& arguments) {
  return Start(paths, program_directory, arguments, true);
}

Result<HostAddress> ReviveLocalAgent(const Paths& paths, const std::string& program_directory) {
  return Start(paths, program_directory, {}, false);
}

}  // namespace brood
