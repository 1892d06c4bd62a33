// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "agent/outbox/slot_file.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// The streams of one job. Its own end of an output's pipe is open for reading too,
// so that no SIGPIPE meets it should every reader die. Where its output goes to files,
// there are no read ends: the agent knows the files.
struct JobPipes {
  UniqueFd input_read;    // the job's; empty unless asked for
  UniqueFd input_write;   // the agent's
  UniqueFd output_read;   // the agent's and ours
  UniqueFd output_write;  // the job's
  UniqueFd error_read;
  UniqueFd error_write;
  uint64_t output_inode = 0;
  uint64_t error_inode = 0;

  // So that an agent can find them again should we and the one before it be gone.
  void NoteInodes(StartSlot* slot) const {
    slot->output_inode = output_inode;
    slot->error_inode = error_inode;
  }
};

// What the job asks for: pipes or files for stdout and stderr, and a pipe of stdin if it has one.
// All close-on-exec. `error_number` is set where it fails.
Result<JobPipes> MakeJobPipes(const internal::v1::StartJob& job, int* error_number);

// Opens the other end of a pipe for reading and writing.
Result<UniqueFd> ReopenReadWrite(int fd, int flags);

}  // namespace brood
