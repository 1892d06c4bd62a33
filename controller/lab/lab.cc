// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/lab.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "controller/client/each_host.h"
#include "controller/client/inventory.h"
#include "controller/client/local_agent.h"

namespace brood {
namespace {

// sun_path without its last NUL, as the kernel has it.
constexpr size_t kSocketPathMax = 107;
// What the longest socket of an agent may add to its runtime folder.
constexpr size_t kSocketNameMax = 32;

// StopAgent gives each job its grace (10 s unless its spec says else) first.
constexpr std::chrono::seconds kStopDeadline(60);
// After it answered, an agent has nothing left to do.
constexpr std::chrono::milliseconds kEndPatience(5000);
constexpr std::chrono::milliseconds kKillPatience(2000);
// A killed process may have started another one just before.
constexpr int kKillRounds = 5;

std::string HostName(int number) { return "host" + std::to_string(number); }

}  // namespace

Lab::Lab(Paths paths, std::string program_directory)
    : paths_(std::move(paths)), program_directory_(std::move(program_directory)) {}

Paths Lab::HostPaths(const std::string& host) const {
  Paths paths = paths_;
  paths.state += "/lab/" + host;
  paths.runtime += "/lab/" + host;
  return paths;
}

Result<UniqueFd> Lab::Lock() const {
  if (Status status = MakePrivateDirectory(paths_.runtime)) return *status;
  if (Status status = MakePrivateDirectory(paths_.state)) return *status;
  const std::string path = paths_.runtime + "/lab.lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return ErrnoError(errno, "open '" + path + "'");
  while (::flock(lock.get(), LOCK_EX) != 0)
    if (errno != EINTR) return ErrnoError(errno, "lock '" + path + "'");
  return lock;
}

Status Lab::CheckSocketLength(int hosts) const {
  const std::string runtime = HostPaths(HostName(hosts)).runtime;
  if (runtime.size() + kSocketNameMax <= kSocketPathMax) return Ok();
  return Error{ErrorCode::kInvalidArgument, "PATH_TOO_LONG",
               "the folder for sockets '" + runtime + "' has " + std::to_string(runtime.size()) +
                   " bytes, and " + std::to_string(kSocketPathMax - kSocketNameMax) +
                   " is the most; set BROOD_RUNTIME_DIR to a shorter one",
               "BROOD_RUNTIME_DIR"};
}

Result<std::vector<HostAddress>> Lab::Hosts() const {
  std::vector<HostAddress> hosts;
  for (int number = 1; number <= kLabHostsMax; ++number) {
    const std::string name = HostName(number);
    const Paths paths = HostPaths(name);
    std::error_code error;
    if (!std::filesystem::is_directory(paths.state, error)) break;
    hosts.push_back({name, LocalAgentAddress(paths).target, false});
  }
  return hosts;
}

Status Lab::WriteRegistry(int hosts) const {
  const std::string path = LabRegistryPath(paths_.state);
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << "# Written by `brood lab up`, removed by `brood lab down`.\n";
  for (int number = 1; number <= hosts; ++number) {
    const std::string name = HostName(number);
    // A literal string of TOML: no escapes in it, so none in a path is taken for one.
    file << "[hosts." << name << "]\naddress = '" << LocalAgentAddress(HostPaths(name)).target
         << "'\n";
  }
  file << "[groups]\n" << kLabGroup << " = \"host[1-" << hosts << "]\"\n";
  file.close();
  if (!file) return ErrnoError(errno, "write '" + fresh + "'");
  if (::rename(fresh.c_str(), path.c_str()) != 0)
    return ErrnoError(errno, "rename '" + fresh + "'");
  return Ok();
}

Result<std::vector<HostAddress>> Lab::Up(int hosts, const std::vector<std::string>& arguments) {
  if (hosts < 1 || hosts > kLabHostsMax) {
    return FieldError("n", "a lab has 1 to " + std::to_string(kLabHostsMax) + " hosts, not " +
                               std::to_string(hosts));
  }
  if (Status status = CheckSocketLength(hosts)) return *status;
  const Result<UniqueFd> lock = Lock();
  if (!lock) return lock.error();
  const Result<std::vector<HostAddress>> there = Hosts();
  if (!there) return there.error();
  const int all = std::max(hosts, static_cast<int>(there->size()));
  // Folders and registry first: whatever stops us below, Down finds what was started.
  for (int number = 1; number <= all; ++number) {
    const Paths paths = HostPaths(HostName(number));
    for (const std::string& folder : {paths.state, paths.runtime})
      if (Status status = MakePrivateDirectory(folder)) return *status;
  }
  if (Status status = WriteRegistry(all)) return *status;
  for (int number = 1; number <= all; ++number) {
    const std::string name = HostName(number);
    std::vector<std::string> words = {"--name", name};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const Result<HostAddress> agent = EnsureLocalAgent(HostPaths(name), program_directory_, words);
    if (!agent) {
      Error error = agent.error();
      error.message = name + ": " + error.message;
      return error;
    }
  }
  return Hosts();
}

std::vector<Process> Lab::Processes() const {
  const ProcessTable table = ProcessTable::Read();
  std::vector<Process> found = table.WithVariable("BROOD_STATE_DIR=" + paths_.state + "/lab/host");
  std::vector<pid_t> roots;
  for (const Process& process : found) roots.push_back(process.pid);
  for (Process& process : table.Below(roots)) found.push_back(std::move(process));
  // We may have been started by a job of the lab; and what is a zombie has ended.
  std::erase_if(found, [](const Process& process) {
    return process.pid == ::getpid() || process.state == 'Z';
  });
  return found;
}

Result<Lab::Ended> Lab::Down() {
  const Result<UniqueFd> lock = Lock();
  if (!lock) return lock.error();
  const Result<std::vector<HostAddress>> hosts = Hosts();
  if (!hosts) return hosts.error();
  Ended ended;
  ended.hosts = static_cast<int>(hosts->size());
  // Taken before anything ends: afterwards an orphan is below nobody that we know.
  const std::vector<Process> before = Processes();

  std::atomic<unsigned> jobs = 0;
  std::atomic<int> asked = 0;
  EachHost(*hosts, [&](size_t index, Connection& connection) -> Status {
    if (!LocalAgentListens(HostPaths((*hosts)[index].name))) return Ok();
    ++asked;
    const Result<v1::StopAgentResponse> stopped = connection.StopAgent({}, {kStopDeadline});
    if (!stopped) return stopped.error();
    jobs += stopped->ended_jobs();
    return Ok();
  });
  ended.jobs = jobs;

  // Nobody ends by himself if nobody was asked: all agents had died before.
  ended.killed = AwaitEnd(before, 0, asked > 0 ? kEndPatience : std::chrono::milliseconds(0));
  for (int round = 0; round < kKillRounds; ++round) {
    std::vector<Process> there = AwaitEnd(before, 0, std::chrono::milliseconds(0));
    for (Process& process : Processes()) there.push_back(std::move(process));
    if (there.empty()) break;
    ended.left = AwaitEnd(there, SIGKILL, kKillPatience);
  }
  if (!ended.left.empty()) return ended;
  std::error_code error;
  for (const std::string& folder : {paths_.state + "/lab", paths_.runtime + "/lab"}) {
    std::filesystem::remove_all(folder, error);
    if (error) return ErrnoError(error.value(), "remove '" + folder + "'");
  }
  return ended;
}

}  // namespace brood
