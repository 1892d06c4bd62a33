// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/job_pipes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/base/failpoint.h"

namespace brood {
namespace {

Status MakeOutput(UniqueFd* read, UniqueFd* write, uint64_t* inode, int* error_number) {
  int ends[2];
  if (FailsAt("parent.pipe") || ::pipe2(ends, O_CLOEXEC) != 0) {
    *error_number = errno;
    return ErrnoError(*error_number, "cannot make the pipe of an output");
  }
  read->reset(ends[0]);
  const UniqueFd write_only(ends[1]);
  Result<UniqueFd> both = ReopenReadWrite(ends[1], 0);
  if (!both) {
    *error_number = EMFILE;  // Nothing else can befall a pipe of our own.
    return both.error();
  }
  *write = *std::move(both);
  struct stat status {};
  if (::fstat(ends[0], &status) == 0) *inode = status.st_ino;
  return Ok();
}

// Appended to, so that what several processes write does not overwrite each other, and what
// somebody truncates goes on at its end. Not made here: the agent has, and would not find another
// one.
Status OpenOutput(const std::string& path, UniqueFd* write, int* error_number) {
  write->reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (*write) return Ok();
  *error_number = errno;
  return ErrnoError(*error_number, "cannot open the file of an output, '" + path + "'");
}

}  // namespace

Result<UniqueFd> ReopenReadWrite(int fd, int flags) {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  UniqueFd both(::open(path, O_RDWR | O_CLOEXEC | flags));
  if (!both) return ErrnoError(errno, std::string("cannot open ") + path);
  return both;
}

Result<JobPipes> MakeJobPipes(const internal::v1::StartJob& job, int* error_number) {
  JobPipes pipes;
  Status failed;
  if (!job.output_file().empty()) {
    failed = OpenOutput(job.output_file(), &pipes.output_write, error_number);
    if (!failed) failed = OpenOutput(job.error_file(), &pipes.error_write, error_number);
  } else {
    failed = MakeOutput(&pipes.output_read, &pipes.output_write, &pipes.output_inode, error_number);
    if (!failed) {
      failed = MakeOutput(&pipes.error_read, &pipes.error_write, &pipes.error_inode, error_number);
    }
  }
  if (failed) return *std::move(failed);
  if (job.stdin_stream()) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      *error_number = errno;
      return ErrnoError(*error_number, "cannot make the pipe of stdin");
    }
    pipes.input_read.reset(ends[0]);
    pipes.input_write.reset(ends[1]);
  }
  return pipes;
}

}  // namespace brood
