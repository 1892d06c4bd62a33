// SPDX-License-Identifier: Apache-2.0
//
// The limits that a job may ask for (JobSpec.limits): their names, what they are counted in, and
// what a host makes of those that are about all processes of the job together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"

namespace brood {

// Less than this no program starts in; a mistyped unit must not look like a program's fault.
inline constexpr uint64_t kMemoryLimitMin = 1 << 20;

// By what a host can hold a job as a whole.
struct LimitSupport {
  std::string controllers;     // "cgroup2" or "cgroup1"; empty: none of the two below
  bool memory_group = false;   // control groups bound memory
  bool process_group = false;  // control groups bound the number of processes
  bool nproc_binds = false;    // RLIMIT_NPROC binds whoever the jobs run as
};

// What JobSpec.limits promises, but for what only a host knows.
Status CheckLimits(const v1::JobSpec& spec);

// FAILED_PRECONDITION, reason NO_LIMIT_HERE, if that host cannot hold one of them.
Status CheckLimitsHere(const v1::JobSpec& spec, const LimitSupport& support,
                       const std::string& host);

// What the host holds otherwise than by a control group: "; mem bounds ..."; empty if nothing is.
std::string SayLimitsHere(const v1::JobSpec& spec, const LimitSupport& support);

// The names that a job may use there, sorted.
std::vector<std::string_view> LimitNamesHere(const LimitSupport& support);

// A limit as typed: NAME=VALUE. Bytes may have a unit (512M and 512MiB are 2^20 times 512), cpu is
// seconds or a duration, the rest are whole numbers. Names are not judged here, but for their unit.
Result<v1::ResourceLimit> ParseLimit(std::string_view text, const std::string& field);

}  // namespace brood
