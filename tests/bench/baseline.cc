// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/baseline.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <string>

#include "common/base/unique_fd.h"
#include "tests/testing/temp_directory.h"

namespace brood::bench {
namespace {

pid_t Spawn() {
  static char program[] = "/bin/true";
  char* const argv[] = {program, nullptr};
  pid_t pid = 0;
  return ::posix_spawn(&pid, program, nullptr, nullptr, argv, environ) == 0 ? pid : -1;
}

pid_t Fork() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  return pid;
}

double Loop(pid_t (*start)(), int count, int outstanding) {
  const double begin = Seconds();
  int running = 0;
  for (int i = 0; i < count; ++i) {
    if (running == outstanding) {
      ::waitpid(-1, nullptr, 0);
      --running;
    }
    if (start() > 0) ++running;
  }
  while (running-- > 0) ::waitpid(-1, nullptr, 0);
  return count / (Seconds() - begin);
}

void* Nothing(void*) { return nullptr; }

}  // namespace

std::vector<double> SyncLatencies(int count, int bytes) {
  const testing::TempDirectory directory;
  const UniqueFd fd(::open((directory.path() + "/records").c_str(), O_WRONLY | O_CREAT, 0600));
  const std::string record(static_cast<size_t>(bytes), 'x');
  std::vector<double> latencies;
  for (int i = 0; i < count; ++i) {
    const double begin = Seconds();
    if (::write(fd.get(), record.data(), record.size()) != bytes || ::fdatasync(fd.get()) != 0)
      return {};
    latencies.push_back(Seconds() - begin);
  }
  return latencies;
}

double Seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double Percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

double SpawnLoop(int count, int outstanding) { return Loop(Spawn, count, outstanding); }
double ForkLoop(int count, int outstanding) { return Loop(Fork, count, outstanding); }

double ThreadLoop(int count, int outstanding) {
  const double begin = Seconds();
  std::deque<pthread_t> running;
  for (int i = 0; i < count; ++i) {
    if (static_cast<int>(running.size()) == outstanding) {
      ::pthread_join(running.front(), nullptr);
      running.pop_front();
    }
    pthread_t thread{};
    if (::pthread_create(&thread, nullptr, Nothing, nullptr) == 0) running.push_back(thread);
  }
  for (const pthread_t thread : running) ::pthread_join(thread, nullptr);
  return count / (Seconds() - begin);
}

std::vector<double> SpawnLatencies(int count) {
  std::vector<double> latencies;
  for (int i = 0; i < count; ++i) {
    const double begin = Seconds();
    ::waitpid(Spawn(), nullptr, 0);
    latencies.push_back(Seconds() - begin);
  }
  return latencies;
}

double CpuSeconds(int pid) {
  if (pid == 0) {
    timespec spent{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
  }
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  // The name stands in parentheses and may hold spaces; 11 fields on come user and system ticks.
  while (file >> word && word.back() != ')') {
  }
  constexpr int kBefore = 11;
  for (int i = 0; i < kBefore; ++i) file >> word;
  double user = 0;
  double system = 0;
  file >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double PssMebibytes(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string word;
  while (file >> word) {
    double kibibytes = 0;
    if (word == "Pss:" && file >> kibibytes) return kibibytes / 1024;
  }
  return 0;
}

}  // namespace brood::bench
