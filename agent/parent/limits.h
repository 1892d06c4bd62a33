// SPDX-License-Identifier: Apache-2.0
//
// Every limit of a parent, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

// Jobs whose streams go in one frame: three descriptors each stay under kFrameFdsMax.
inline constexpr size_t kJobsPerStreamsFrame = 60;

// How long a fork waits for the gate. A change of a cell takes microseconds; who holds one
// longer than this will not let go soon, and the main thread has other jobs to start.
inline constexpr int64_t kGateWaitNanos = 2'000'000'000;

// How long a ReadMemory waits for a cell that is being changed, for the same reason.
inline constexpr int64_t kCellReadWaitNanos = 1'000'000'000;

// Stack of a job's thread: enough for ordinary library code. glibc keeps 40 MiB of stacks for the
// next threads, so 40 come without a system call; smaller ones would be more to copy at each fork.
inline constexpr size_t kThreadStackBytes = 1024 * 1024;

// Stack for the crash hooks, at the top of each job's own stack.
inline constexpr size_t kAlternateStackBytes = 16 * 1024;

// Stack of a child between clone and exec: a few small frames.
inline constexpr size_t kChildStackBytes = 64 * 1024;

// Cells of one parent, and their names: what task.h promises.
inline constexpr size_t kCellsMax = 4096;
inline constexpr size_t kCellNameBytesMax = 64;

// Cells that a parent has in common with its forks: the mapping has a place of 49 KiB for each.
inline constexpr size_t kSharedCellsMax = 256;

// Blocks of one parent, and their bytes in all: a mistyped size must not become an address space
// that cannot be copied. Memory that is not touched costs nothing.
inline constexpr size_t kBlocksMax = 1024;
inline constexpr size_t kBlockBytesMax = size_t{64} << 30;
// What is shown of a block as its value.
inline constexpr size_t kBlockShownBytes = 64;
// Of x86-64 and of arm64 with small pages: a block on huge pages begins at such an address.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// What is kept of a thrown text.
inline constexpr size_t kThrownBytesMax = 1024;

// Cells' bytes in one MemoryAnswer: leaves room for names in a frame of kFrameBytesMax.
inline constexpr size_t kMemoryAnswerBytesMax = 1 << 20;

// A job's progress becomes an event at most ten times a second.
inline constexpr int64_t kProgressPeriodNanos = 100'000'000;

// A STARTED of a thread waits so long for its end to ring the bell for both: most calls are
// shorter, and a bell costs as much as the call.
inline constexpr int64_t kQuietStartNanos = 500'000;

// A burst of starts rings the bell at least so often.
inline constexpr int64_t kRingPeriodNanos = 1'000'000;

// How often notes that the disk had no room for, and pidfds and connections that the process
// had no descriptor for, are tried again.
inline constexpr int64_t kRetryNanos = 100'000'000;

// Tasks of one library, and the libraries of a parent beside the shipped one.
inline constexpr uint32_t kTasksPerLibraryMax = 1024;
inline constexpr size_t kLibrariesMax = 16;
// Variables, and mutexes, that one library shows at its loading: what task.h promises.
inline constexpr uint32_t kVariablesPerLibraryMax = 256;
inline constexpr uint32_t kMutexesPerLibraryMax = 256;

// Mutexes known at once: all are looked at before each fork.
inline constexpr size_t kKnownMutexesMax = 4096;

// Connections that have not said hello, the oldest of which goes first: an agent opens two.
inline constexpr size_t kUngreetedConnectionsMax = 16;

// A parent that was told to end and has not after this long leaves by _exit.
inline constexpr int64_t kEndDeadlineNanos = 5'000'000'000;

// A slot whose job the agent let go of before its end was noted is used again so long after
// that end: time to read it.
inline constexpr int64_t kEarlyDrainedNanos = 5'000'000'000;

}  // namespace brood
