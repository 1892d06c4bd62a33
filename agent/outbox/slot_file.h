// SPDX-License-Identifier: Apache-2.0
//
// The slot file of one parent incarnation: memory that its children inherit and
// that outlives it. DIRECTORY/slots holds
//
//   page 0                  LastWords of the parent
//   from 4096               StartSlot x N, 64 bytes each
//   from the next page on   CallArea x N, 64 KiB each
//
// A job's process has slot i from before its creation until the agent has read
// its end. Its first act is to write pid and time there; where exec fails, the
// step and errno. A forked call writes progress and its result into its area.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

inline constexpr size_t kValueBytesMax = 48 * 1024;
inline constexpr size_t kProgressTextBytes = 128;
inline constexpr size_t kCallAreaBytes = 64 * 1024;
inline constexpr size_t kCallValueOffset = 4096;
static_assert(kCallValueOffset + kValueBytesMax <= kCallAreaBytes);

// Written by a parent's crash hooks: which job's thread made it end.
struct LastWords {
  uint32_t committed = 0;  // 1 once the rest is there
  int32_t signal = 0;      // 0: a task called exit
  uint64_t culprit_job_key = 0;
};

inline constexpr uint32_t kUnclaimed = 0;
inline constexpr uint32_t kClaimedByChild = 1;
inline constexpr uint32_t kRevoked = 2;

struct StartSlot {
  uint64_t job_key = 0;      // by the parent, when it reserves the slot
  uint32_t attempt = 0;      // likewise
  int32_t pid = 0;           // by the child, its first act; 0: it never ran
  int64_t start_ns = 0;      // by the child: CLOCK_BOOTTIME
  int32_t error_number = 0;  // by the child, if a step failed
  uint32_t failed_step = 0;  // ChildStep; 0: none
  // Who was first, by compare and exchange: the child, once pid and time are there, or the agent,
  // once the parent has ended. The child goes on only if it was.
  uint32_t claim = kUnclaimed;
  uint32_t reserved = 0;
  // By the parent: the pipes of stdout and stderr, to find them again in the job's descriptors.
  uint64_t output_inode = 0;
  uint64_t error_inode = 0;
  char padding[8] = {};
};
static_assert(sizeof(StartSlot) == 64);

// The steps between the creation of a process and the user's code.
enum class ChildStep : uint32_t {
  kNone = 0,
  kSetsid = 1,
  kDup = 2,
  kChdir = 3,
  kLimit = 4,
  kExec = 5,
  kFork = 6,
  kPipe = 7,
  kGroup = 9,
};
inline const char* ChildStepName(ChildStep step) {
  switch (step) {
    case ChildStep::kNone:
      return "none";
    case ChildStep::kSetsid:
      return "setsid";
    case ChildStep::kDup:
      return "dup2";
    case ChildStep::kChdir:
      return "chdir";
    case ChildStep::kLimit:
      return "setrlimit";
    case ChildStep::kExec:
      return "exec";
    case ChildStep::kFork:
      return "fork";
    case ChildStep::kPipe:
      return "pipe";
    case ChildStep::kGroup:
      return "cgroup";
  }
  return "unknown";
}

struct CallArea {
  uint64_t job_key = 0;
  // Progress: a sequence lock; odd while it is being written.
  uint32_t progress_version = 0;
  uint32_t progress_text_size = 0;
  double progress_fraction = 0;
  int64_t progress_boot_ns = 0;
  char progress_text[kProgressTextBytes] = {};
  // Result: written once; `result` is stored last. 1 returned, 2 threw, 3 stopped as asked.
  uint32_t result = 0;
  uint32_t value_kind = 0;  // brood.v1.ValueType
  uint32_t value_size = 0;  // bytes at kCallValueOffset: the value, or what was thrown
  uint32_t value_crc = 0;
  int64_t result_boot_ns = 0;
};
static_assert(std::is_trivially_copyable_v<CallArea>);
static_assert(sizeof(CallArea) <= kCallValueOffset);

// What a reader finds for the version where the progress was being written.
inline constexpr uint32_t kTornProgress = 1;
inline constexpr uint32_t kCallReturned = 1;
inline constexpr uint32_t kCallThrew = 2;
inline constexpr uint32_t kCallStopped = 3;

// The parent's side: owns the mapping, hands out slots. Main and launcher
// threads; Reserve and Free are thread-safe, the slots are their holder's.
class SlotFile {
 public:
  static Result<std::unique_ptr<SlotFile>> Create(const std::string& directory, uint32_t slots);
  ~SlotFile();
  SlotFile(const SlotFile&) = delete;
  SlotFile& operator=(const SlotFile&) = delete;

  // A zeroed slot for this attempt, or kNoSlot if all are taken. With
  // `with_area`, its call area is reserved on disk and zeroed too (kNoSlot with
  // errno ENOSPC if that fails).
  uint32_t Reserve(uint64_t job_key, uint32_t attempt, bool with_area);
  void Free(uint32_t slot);

  // In the parent and, through the inherited mapping, in its children.
  StartSlot* start(uint32_t slot) const;
  CallArea* area(uint32_t slot) const;
  char* value(uint32_t slot) const;
  LastWords* last_words() const;

 private:
  SlotFile(char* mapped, size_t size, uint32_t slots, UniqueFd fd);
  class Pool;
  char* const mapped_;
  const size_t size_;
  const uint32_t slots_;
  const UniqueFd fd_;
  std::unique_ptr<Pool> pool_;
};

// The agent's side: reads with pread, believes nothing. One thread.
class SlotReader {
 public:
  explicit SlotReader(const std::string& directory);
  bool ReadLastWords(LastWords* words) const;
  bool ReadStart(uint32_t slot, StartSlot* start) const;
  // All of them, by slot; empty if they cannot be read.
  std::vector<StartSlot> ReadStarts() const;
  // The area's head; progress is torn if its version is odd.
  bool ReadArea(uint32_t slot, CallArea* area) const;
  // The value's bytes, checked against size and checksum of `area`.
  bool ReadValue(uint32_t slot, const CallArea& area, std::string* value) const;
  uint32_t slots() const { return slots_; }

 private:
  UniqueFd fd_;
  uint32_t slots_ = 0;
};

// Of a parent that has ended: what each slot says, once those whose child has not begun are
// revoked, so that it never will. Not those of jobs that are known to have started: a fork is noted
// as soon as it is there, and may begin later. Empty if the file is not what it should be.
std::vector<StartSlot> RevokeStarts(const std::string& directory,
                                    const std::function<bool(uint64_t job_key)>& is_started);

}  // namespace brood
