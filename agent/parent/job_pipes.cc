// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/job_pipes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace brood {
namespace {

Status MakeOutput(UniqueFd* read, UniqueFd* write, uint64_t* inode, int* error_number) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
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

}  // namespace

Result<UniqueFd> ReopenReadWrite(int fd, int flags) {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  UniqueFd both(::open(path, O_RDWR | O_CLOEXEC | flags));
  if (!both) return ErrnoError(errno, std::string("cannot open ") + path);
  return both;
}

Result<JobPipes> MakeJobPipes(bool input, int* error_number) {
  JobPipes pipes;
  Status failed =
      MakeOutput(&pipes.output_read, &pipes.output_write, &pipes.output_inode, error_number);
  if (!failed) {
    failed = MakeOutput(&pipes.error_read, &pipes.error_write, &pipes.error_inode, error_number);
  }
  if (failed) return *std::move(failed);
  if (input) {
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
