// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <cerrno>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Launched Failed(const char* step, int error_number) { return Launched{0, 0, step, error_number}; }

// posix_spawn's two option objects, freed together.
struct SpawnOptions {
  SpawnOptions() {
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
  }
  ~SpawnOptions() {
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
};

}  // namespace

Launched LaunchProgram(const Launch& launch) {
  // What can fail with a name of its own is done here, so that the step is known.
  const UniqueFd log(::open(launch.log_path.c_str(),
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log) return Failed("log", errno);
  UniqueFd directory;
  if (!launch.working_directory.empty()) {
    directory.reset(::open(launch.working_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return Failed("chdir", errno);
  }

  SpawnOptions options;
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setflags(&options.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigdefault(&options.attributes, &all);
  posix_spawnattr_setsigmask(&options.attributes, &none);
  posix_spawn_file_actions_t* const actions = &options.actions;
  int failed = posix_spawn_file_actions_adddup2(actions, launch.input, 0);
  if (failed == 0) failed = posix_spawn_file_actions_adddup2(actions, log.get(), 1);
  if (failed == 0) failed = posix_spawn_file_actions_adddup2(actions, log.get(), 2);
  if (failed == 0 && directory) {
    failed = posix_spawn_file_actions_addfchdir_np(actions, directory.get());
  }
  if (failed == 0) failed = posix_spawn_file_actions_addclosefrom_np(actions, 3);
  if (failed != 0) return Failed("fork", failed);

  const std::vector<char*> arguments = Pointers(launch.arguments);
  const std::vector<char*> environment = Pointers(launch.environment);
  Launched launched;
  failed = FailsAt("supervisor.spawn")
               ? errno
               : ::posix_spawn(&launched.pid, launch.program.c_str(), actions, &options.attributes,
                               arguments.data(), environment.data());
  // A process that could not execute was reaped by posix_spawn itself.
  if (failed != 0) return Failed(failed == EAGAIN || failed == ENOMEM ? "fork" : "exec", failed);
  launched.start_ns = BootTimeNanos();  // process_life.h
  return launched;
}

}  // namespace brood
