// SPDX-License-Identifier: Apache-2.0
//
// The bounds of the agent's core, each with its reason. Those of one file stand
// in that file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

// Jobs that may wait for a slot: at some KiB a spec, tens of MiB at the worst.
inline constexpr uint32_t kQueueLimitDefault = 16'384;
// Ended jobs that stay in memory for GetJob and ListJobs. Their events stay in
// the journal for as long as it keeps them.
inline constexpr size_t kEndedJobsKept = 10'000;
// Ended parents that ListParents still shows.
inline constexpr size_t kEndedParentsKept = 64;
// Parents at once: each is a process with its files.
inline constexpr size_t kParentsMax = 64;
// Exits of processes that no job is known for yet; older ones are forgotten.
inline constexpr size_t kUnmatchedOrphansKept = 1'024;
// From SIGTERM to SIGKILL, where the spec does not say (docker and Slurm users know 10 to 30 s).
inline constexpr int64_t kKillGraceDefaultNanos = 10'000'000'000;
// Starts of one job by parents that ended before they could: beyond, something is wrong with it.
inline constexpr uint32_t kAttemptsMax = 5;
// Keys of jobs that are passed over after another boot of the host: those of the jobs whose records
// a loss of power may have taken, and whose output may still be there.
inline constexpr uint64_t kKeysLostMax = 1 << 20;
// Survivors named in one event; the rest is counted.
inline constexpr int kSurvivorsNamed = 100;
// Slots by default, times the CPUs: processes mostly wait for I/O, threads cost little.
inline constexpr uint32_t kProcessSlotsPerCpu = 4;
inline constexpr uint32_t kThreadSlotsPerCpu = 64;
// Output kept of all jobs together, as a disk counts it: what a host can spare. Beyond, that of the
// jobs whose output was closed first goes.
inline constexpr uint64_t kOutputBytesKept = uint64_t{8} << 30;
// What the smallest file takes on a disk.
inline constexpr uint64_t kDiskBlockBytes = 4096;
// An output event covers at most one read chunk of the API.
inline constexpr uint64_t kOutputEventBytes = 64 << 10;

}  // namespace brood
