// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/outbox/note.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// Appends notes to segments DIRECTORY/outbox-NNNNNN and rings a bell (an
// eventfd) after each. Thread-safe. Does nothing in a forked child of the
// process that made it: a child cannot speak for its parent. The mapping is not
// inherited by children.
class OutboxWriter {
 public:
  // `directory` exists and holds no outbox yet; it must not be on tmpfs, whose
  // pages would be lost with the machine and copied into every child's account
  // (checked; FAILED_PRECONDITION).
  static Result<std::unique_ptr<OutboxWriter>> Create(const std::string& directory);
  ~OutboxWriter();
  OutboxWriter(const OutboxWriter&) = delete;
  OutboxWriter& operator=(const OutboxWriter&) = delete;

  // Appends and rings. False if it could not (no space for a new segment, text
  // too long, or in a forked child).
  bool Append(const Note& note, std::string_view text = {});

  // Append without the bell, for several in a row; Ring afterwards.
  bool AppendQuietly(const Note& note, std::string_view text = {});
  void Ring();

  // The eventfd, to be handed to the agent.
  int bell() const { return bell_.get(); }

 private:
  OutboxWriter(std::string directory, UniqueFd bell);
  bool OpenSegment();

  const std::string directory_;
  const UniqueFd bell_;
  const pid_t owner_;
  // A plain pthread mutex: this file is linked into processes that must stay lean.
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  char* segment_ = nullptr;      // guarded by mutex_
  size_t used_ = 0;              // bytes of segment_; guarded by mutex_
  uint32_t segment_number_ = 0;  // guarded by mutex_
};

// The path of one segment.
std::string OutboxSegmentPath(const std::string& directory, uint32_t number);

}  // namespace brood
