// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/process/family_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process/tree_kill.h"
#include "common/base/clock.h"
#include "gtest/gtest.h"

namespace brood::testing {

Family::Family(const std::string& job_id, const std::vector<std::string>& arguments, size_t members,
               const std::vector<std::string>& more_environment) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  root_.job_id = job_id;
  root_.host = "here";
  root_.journal = "0123456789abcdef";
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  said_.reset(ends[0]);
  std::vector<std::string> environment = more_environment;
  environment.push_back("BROOD_HOST=here");
  environment.push_back("BROOD_JOURNAL=" + root_.journal);
  environment.push_back("BROOD_JOB_ID=" + job_id);
  std::vector<char*> words{const_cast<char*>(FAMILY)};
  for (const std::string& one : arguments) words.push_back(const_cast<char*>(one.c_str()));
  words.push_back(nullptr);
  std::vector<char*> entries;
  for (const std::string& one : environment) entries.push_back(const_cast<char*>(one.c_str()));
  entries.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  EXPECT_EQ(::posix_spawn(&root_.pid, FAMILY, &actions, &attributes, words.data(), entries.data()),
            0);
  root_.start_ns = BootTimeNanos();
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(ends[1]);
  std::string text;
  while (members_.size() < members) {
    pollfd waited{said_.get(), POLLIN, 0};
    char byte = 0;
    if (::poll(&waited, 1, kPatienceMilliseconds) != 1 || ::read(said_.get(), &byte, 1) != 1) {
      ADD_FAILURE() << "only " << members_.size() << " members stand";
      return;
    }
    if (byte != '\n') {
      text.push_back(byte);
      continue;
    }
    members_.push_back(std::stoi(text));
    text.clear();
  }
}

Family::~Family() {
  for (;;) {
    const std::set<pid_t> nobody;
    KillTree(root_, nobody);
    for (const pid_t member : members_) {
      const auto process = ReadProcess(member);
      // Ours, adopted or not: nothing else of that number can be our child's.
      if (process && member != 0 && process->ppid == ::getpid()) ::kill(member, SIGKILL);
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (::waitpid(-1, nullptr, 0) < 0) return;
  }
}

void Family::ReapLeader() { EXPECT_EQ(::waitpid(root_.pid, nullptr, 0), root_.pid); }

bool Family::AllEnded() {
  pollfd waited{said_.get(), POLLIN, 0};
  char byte;
  return ::poll(&waited, 1, kPatienceMilliseconds) == 1 && ::read(said_.get(), &byte, 1) == 0;
}

}  // namespace brood::testing
