// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/job.pb.h"

namespace brood {

// The exit codes that brood itself gives, as timeout(1) and env(1) do.
inline constexpr int kExitTimedOut = 124;
inline constexpr int kExitBroodFailed = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitSignalBase = 128;

// What `brood run` and `brood wait` exit with for one job:
//   EXITED           its own code; 125 if unknown
//   SIGNALED         128 + signal
//   RETURNED         0;  THREW  1
//   TIMED_OUT        124, however it then ended
//   CANCELLED        128 + signal if one ended it, else its own code unless that is 0, else 143: a
//                    cancelled job never looks like a success, and 143 is what SIGTERM, which a
//                    cancel sends, would have given
//   FAILED_TO_START  127 if exec found no such file, 126 if exec failed otherwise, 125 for other
//   steps PARENT_ENDED, LOST, not ended  125
int RunExitCode(const v1::Job& job);

// How it ended, for people: "exited 1", "terminated by SIGTERM", "exec of 'x' failed: No such file
// or directory". Without a full stop and without the job's id. "has not ended" if it has not.
std::string OutcomeSentence(const v1::Job& job);

}  // namespace brood
