// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/reaper.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>

#include "agent/process/process_table.h"

namespace brood {
namespace {

// glibc's waitid gives no usage; the system call does, with WNOWAIT too.
long WaitId(idtype_t type, id_t id, siginfo_t* seen, int options, rusage* usage) {
  long result;
  do {
    result = ::syscall(SYS_waitid, type, id, seen, options, usage);
  } while (result != 0 && errno == EINTR);
  return result;
}

int64_t Micros(const timeval& time) { return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

bool Look(idtype_t type, id_t id, Note* note) {
  siginfo_t seen{};
  rusage usage{};
  if (WaitId(type, id, &seen, WEXITED | WNOHANG | WNOWAIT, &usage) != 0 || seen.si_pid == 0) {
    return false;
  }
  note->pid = seen.si_pid;
  note->ppid = ::getpid();
  note->code = seen.si_code;
  note->status = seen.si_status;
  // A zombie still has its start; 0 if it cannot be read.
  const std::optional<ProcessEntry> process = ReadProcess(seen.si_pid);
  note->start_ns = process ? process->start_ns() : 0;
  note->user_us = Micros(usage.ru_utime);
  note->system_us = Micros(usage.ru_stime);
  note->max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  note->flags |= kHasUsage;
  return true;
}

}  // namespace

bool FindEndedChild(Note* note) { return Look(P_ALL, 0, note); }

bool FindEndedChild(pid_t pid, Note* note) { return Look(P_PID, static_cast<id_t>(pid), note); }

void ReapChild(pid_t pid) {
  WaitId(P_PID, static_cast<id_t>(pid), nullptr, WEXITED | WNOHANG, nullptr);
}

}  // namespace brood
