// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/doctor_checks.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "common/base/unique_fd.h"
#include "controller/cli/command.h"
#include "controller/client/connection.h"
#include "controller/client/inventory.h"
#include "controller/client/local_agent.h"

namespace brood::cli {
namespace {

// sun_path without its last NUL.
constexpr size_t kSocketPathMax = 107;
// What the longest socket may add to the runtime folder: a parent's name and life.
constexpr size_t kSocketNameMax = 32;

Check Fine(std::string text) { return {Health::kOk, std::move(text), ""}; }

// The first line that a program prints, or nothing.
std::string FirstLine(const std::string& program, std::string argument) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "";
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, writer.get(), STDOUT_FILENO);
  std::string name = program;
  char* words[] = {name.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &files, nullptr, words, ::environ);
  posix_spawn_file_actions_destroy(&files);
  writer.reset();
  if (error != 0) return "";
  std::string text;
  char piece[256];
  for (ssize_t size; (size = ::read(reader.get(), piece, sizeof(piece))) > 0;)
    if (text.size() < sizeof(piece)) text.append(piece, static_cast<size_t>(size));
  ::waitpid(pid, nullptr, 0);
  return text.substr(0, text.find('\n'));
}

// The nearest folder that exists: what it will be made in.
std::string Existing(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0) {
    const size_t slash = path.rfind('/');
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
  return path;
}

bool Writable(const std::string& path) { return ::access(Existing(path).c_str(), W_OK) == 0; }

Check NotWritable(const std::string& what, const std::string& path, const std::string& variable) {
  return {Health::kFail, "the " + what + " " + path + " cannot be written to",
          "set " + variable + " to a folder of yours"};
}

}  // namespace

std::vector<Check> CheckPrograms(const std::string& program_directory) {
  std::vector<Check> checks;
  for (const char* name : {"brood-agent", "brood-supervisor", "brood-parent"}) {
    const std::string path = program_directory + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) {
      checks.push_back(Fine(path + " is there"));
    } else {
      checks.push_back({Health::kFail, path + " is not there, or cannot be executed",
                        "install all four programs of one build into one folder"});
    }
  }
  if (checks.front().health != Health::kOk) return checks;
  const std::string said = FirstLine(program_directory + "/brood-agent", "--version");
  if (said.find(BROOD_VERSION) != std::string::npos) {
    checks.push_back(Fine("brood and brood-agent have version " BROOD_VERSION));
  } else {
    checks.push_back({Health::kFail,
                      "brood has version " BROOD_VERSION " and brood-agent says '" + said + "'",
                      "install all four programs of one build into one folder"});
  }
  return checks;
}

Check CheckStateFolder(const std::string& state) {
  if (!Writable(state)) return NotWritable("state folder", state, "BROOD_STATE_DIR");
  struct statfs about {};
  if (::statfs(Existing(state).c_str(), &about) == 0 &&
      (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC)) {
    return {Health::kFail, "the state folder " + state + " is on a tmpfs",
            "set BROOD_STATE_DIR to a folder on a disk: what is noted there must last"};
  }
  return Fine("the state folder " + state + " can be written to, and is not on a tmpfs");
}

Check CheckRuntimeFolder(const std::string& runtime) {
  if (!Writable(runtime)) return NotWritable("runtime folder", runtime, "BROOD_RUNTIME_DIR");
  if (runtime.size() + kSocketNameMax > kSocketPathMax) {
    return {Health::kFail,
            "the runtime folder " + runtime + " has " + std::to_string(runtime.size()) +
                " bytes: too long for sockets in it",
            "set BROOD_RUNTIME_DIR to one of at most " +
                std::to_string(kSocketPathMax - kSocketNameMax) + " bytes"};
  }
  return Fine("the runtime folder " + runtime + " can be written to, and is short enough");
}

std::vector<Check> CheckKernel() {
  std::vector<Check> checks;
  utsname about{};
  ::uname(&about);
  const std::string kernel = std::string("Linux ") + about.release;
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  checks.push_back(pidfd ? Fine(kernel + " has pidfd_open")
                         : Check{Health::kFail, kernel + " has no pidfd_open (5.3)",
                                 "use a kernel of Debian 11 or later, or allow it in the sandbox"});
  const bool closes = ::syscall(SYS_close_range, UINT_MAX, UINT_MAX, 0) == 0 || errno != ENOSYS;
  checks.push_back(closes
                       ? Fine(kernel + " has close_range")
                       : Check{Health::kFail, kernel + " has no close_range (5.9)",
                               "use a kernel of Debian 11 or later, or allow it in the sandbox"});
  struct statfs cgroup {};
  const bool v2 = ::statfs("/sys/fs/cgroup", &cgroup) == 0 && cgroup.f_type == CGROUP2_SUPER_MAGIC;
  checks.push_back(
      v2 ? Fine("control groups are of version 2")
         : Check{Health::kWarn, "control groups are not of version 2",
                 "nothing has to be done: brood ends process trees by scanning /proc"});
  return checks;
}

std::vector<Check> CheckInventory(const Paths& paths) {
  const Result<Inventory> inventory = Inventory::Load(paths);
  if (!inventory) return {{Health::kFail, inventory.error().message, "mend that file"}};
  std::vector<Check> checks;
  for (const std::string& wrong : inventory->Check())
    checks.push_back({Health::kFail, wrong, "mend the hosts file " + paths.hosts});
  if (!checks.empty()) return checks;
  return {Fine("the hosts file " + paths.hosts + " is in order (" +
               std::to_string(inventory->hosts().size()) + " hosts, those of the lab included)")};
}

std::vector<Check> CheckLocalAgent(const Paths& paths) {
  if (!LocalAgentListens(paths)) {
    return {{Health::kWarn, "no agent runs on this machine",
             "nothing has to be done: `brood run` starts one"}};
  }
  auto connection = Connection::Open(LocalAgentAddress(paths));
  if (!connection) return {{Health::kFail, connection.error().message, ""}};
  const Result<v1::GetHostResponse> answer = (*connection)->GetHost({});
  if (!answer) {
    return {
        {Health::kFail, answer.error().message, "end it by hand, and `brood run` starts another"}};
  }
  const v1::Host& host = answer->host();
  std::vector<Check> checks = {
      Fine("the local agent answers (pid " + std::to_string(host.agent_pid()) + ")")};
  if (host.version() != BROOD_VERSION) {
    checks.push_back({Health::kWarn,
                      "the local agent has version " + host.version() + ", brood " BROOD_VERSION,
                      "`brood agent stop --keep-jobs`, and the next command starts the new one"});
  }
  if (!host.journal_problem().empty()) {
    checks.push_back(
        {Health::kFail, "the local agent takes no new jobs: " + host.journal_problem(), ""});
  }
  checks.push_back(
      host.limit_controllers().empty()
          ? Check{Health::kWarn, "the local agent has no controllers of memory and processes",
                  "nothing has to be done: --limit mem bounds the address space of each process; "
                  "run the agent where it may make control groups to bound whole jobs"}
          : Fine("limits of memory and processes are held by " + host.limit_controllers()));
  if (host.supervisor_pid() == 0) {
    checks.push_back({Health::kWarn, "the local agent has no supervisor", "see its log"});
  }
  return checks;
}

int CheckJournal(const Context& context, std::string folder) {
  struct stat about {};
  const std::string what = "read the journal in '" + folder + "'";
  if (::stat(folder.c_str(), &about) != 0)
    return context.Fail(ErrnoError(errno, what), kExitFailed);
  if (::access((folder + "/epoch").c_str(), F_OK) != 0) {
    const std::string why =
        S_ISDIR(about.st_mode) ? "there is none, it has no file 'epoch'" : "it is no folder";
    return context.Fail(Error{ErrorCode::kNotFound, "NO_JOURNAL", what + ": " + why, "--journal"},
                        kExitFailed);
  }
  const std::string program = context.program_directory + "/brood-agent";
  std::string words[] = {program, "--check-journal", folder};
  char* const argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t pid = -1;
  context.out.flush();
  int status = 0;
  if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, ::environ) != 0) {
    context.err << "brood: " << program << " cannot be executed; see `brood doctor`\n";
    return kExitFailed;
  }
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? kExitOk : kExitFailed;
}

std::vector<Check> CheckEverything(const Context& context) {
  std::vector<Check> all = CheckPrograms(context.program_directory);
  const auto add = [&all](std::vector<Check> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  add({CheckStateFolder(context.paths.state), CheckRuntimeFolder(context.paths.runtime)});
  add(CheckKernel());
  add(CheckInventory(context.paths));
  add(CheckLocalAgent(context.paths));
  return all;
}

}  // namespace brood::cli
