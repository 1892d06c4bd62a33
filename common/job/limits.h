// SPDX-License-Identifier: Apache-2.0
//
// Every limit of a job spec, in one place, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

// A name that fits a file name, a label and a table's column.
inline constexpr size_t kJobIdBytesMax = 64;

// Enough for `xargs`-like use; far below what the kernel takes with an 8 MiB stack.
inline constexpr int kArgvWordsMax = 4096;
// The kernel's MAX_ARG_STRLEN (128 KiB), less the terminating NUL: for words and for variables.
inline constexpr size_t kArgvWordBytesMax = 131'071;
// With the environment's 256 KiB it stays below the 1 MiB of a message.
inline constexpr size_t kArgvBytesMax = 256 << 10;

inline constexpr int kEnvironmentNamesMax = 4096;
inline constexpr size_t kEnvironmentNameBytesMax = 32 << 10;
inline constexpr size_t kEnvironmentBytesMax = 256 << 10;

// The kernel's PATH_MAX, less the terminating NUL.
inline constexpr size_t kPathBytesMax = 4095;

// LIBRARY (32) '.' TASK (128), with room to spare.
inline constexpr size_t kTaskNameBytesMax = 256;
// More parameters than any readable function has.
inline constexpr int kCallArgumentsMax = 64;
// With what else a spec has and the value that the call returns it stays below the 1 MiB of a
// journal's record.
inline constexpr size_t kCallBytesMax = 512 << 10;
// A forked call returns its value through a fixed slot of memory.
inline constexpr size_t kValueBytesMax = 48 << 10;

inline constexpr int kLabelsMax = 64;
inline constexpr size_t kLabelBytesMax = 256;

// Below a millisecond, starting a process takes longer than the time-out.
inline constexpr int64_t kTimeoutNanosMin = 1'000'000;
// Ten years of 365 days: beyond it sums of times could overflow.
inline constexpr int64_t kTimeoutSecondsMax = 10LL * 365 * 86'400;
inline constexpr int64_t kKillGraceSecondsMax = 3600;
inline constexpr int64_t kKillGraceSecondsDefault = 10;

// A reading of a process's page meters takes up to some milliseconds.
inline constexpr int32_t kMeterNanosMin = 50'000'000;
// Below it, a wait that is merely long could not be told from one that is for ever.
inline constexpr int32_t kKillIfStuckNanosMin = 100'000'000;
inline constexpr int64_t kPeriodSecondsMax = 3600;

// Bytes kept of each output stream. Below the least, one read of a pipe would overflow it; the
// default is a day of a chatty program; the most is a tenth of what the common file systems take as
// one file.
inline constexpr uint64_t kStreamBytesMin = 64 << 10;
inline constexpr uint64_t kStreamBytesDefault = 64 << 20;
inline constexpr uint64_t kStreamBytesMost = uint64_t{1} << 40;

}  // namespace brood
