// SPDX-License-Identifier: Apache-2.0
#include "common/job/resource_limits.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "common/job/byte_size.h"
#include "common/job/duration.h"
#include "common/job/name_value.h"
#include "common/job/text.h"

namespace brood {
namespace {

enum class Unit { kSeconds, kBytes, kCount };

// Less than this no program starts with, and the kernel's word for it would be a crash, or nothing
// at all. Found by trying: the loader opens libraries beside the three standard streams, and maps
// them; the first page of a stack has arguments and environment.
constexpr uint64_t kCpuLimitMin = 1;
constexpr uint64_t kFilesLimitMin = 4;
constexpr uint64_t kStackLimitMin = 16 << 10;
constexpr uint64_t kDataLimitMin = 128 << 10;

struct LimitName {
  std::string_view name;
  Unit unit;
  std::string_view same_as;  // another name of the same limit
  uint64_t least;
};

// Sorted.
constexpr LimitName kLimitNames[] = {
    {"as", Unit::kBytes, "as", kMemoryLimitMin},
    {"core", Unit::kBytes, "core", 0},
    {"cpu", Unit::kSeconds, "cpu", kCpuLimitMin},
    {"data", Unit::kBytes, "data", kDataLimitMin},
    {"files", Unit::kCount, "nofile", kFilesLimitMin},
    {"fsize", Unit::kBytes, "fsize", 0},
    {"mem", Unit::kBytes, "mem", kMemoryLimitMin},
    {"memlock", Unit::kBytes, "memlock", 0},
    {"nofile", Unit::kCount, "nofile", kFilesLimitMin},
    {"nproc", Unit::kCount, "nproc", 0},
    {"procs", Unit::kCount, "procs", 1},
    {"rss", Unit::kBytes, "rss", 0},
    {"stack", Unit::kBytes, "stack", kStackLimitMin},
};

const LimitName* FindLimit(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kLimitNames), std::end(kLimitNames),
                                         [name](const LimitName& row) { return row.name == name; });
  return found == std::end(kLimitNames) ? nullptr : found;
}

std::string Field(int index, std::string_view part) {
  return "spec.limits[" + std::to_string(index) + "]." + std::string(part);
}

// The position of that limit in the spec; -1 if it is not asked for.
int FindIn(const v1::JobSpec& spec, std::string_view name) {
  for (int i = 0; i < spec.limits_size(); ++i) {
    if (spec.limits(i).name() == name) return i;
  }
  return -1;
}

}  // namespace

Status CheckLimits(const v1::JobSpec& spec) {
  for (int i = 0; i < spec.limits_size(); ++i) {
    const std::string& name = spec.limits(i).name();
    const LimitName* const limit = FindLimit(name);
    if (limit == nullptr) {
      return FieldError(Field(i, "name"),
                        Quoted(name) +
                            " is no limit; take one of cpu, mem, files, procs, fsize, core, data, "
                            "stack, rss, as, memlock, nproc, nofile");
    }
    // At most thirteen distinct names get here, so this stays small.
    for (int k = 0; k < i; ++k) {
      const std::string& other = spec.limits(k).name();
      if (FindLimit(other)->same_as != limit->same_as) continue;
      return FieldError(
          Field(i, "name"),
          Quoted(name) + (other == name ? " is given twice" : " is the same as " + Quoted(other)) +
              "; remove one of them");
    }
    const uint64_t value = spec.limits(i).value();
    if (value < limit->least) {
      return FieldError(Field(i, "value"), std::to_string(value) + " is too little of " +
                                               Quoted(name) +
                                               " for any program to start; give at least " +
                                               std::to_string(limit->least));
    }
  }
  return Ok();
}

Status CheckLimitsHere(const v1::JobSpec& spec, const LimitSupport& support,
                       const std::string& host) {
  const int procs = FindIn(spec, "procs");
  if (procs < 0 || support.process_group || support.nproc_binds) return Ok();
  const std::string field = Field(procs, "name");
  return Error{ErrorCode::kFailedPrecondition, "NO_LIMIT_HERE",
               field + ": 'procs' cannot be held on host '" + host +
                   "': its agent has no controller of processes (pids), and the kernel does not "
                   "bind root by RLIMIT_NPROC; leave it out, or run the agent as another user or "
                   "where it may make control groups",
               field};
}

std::string SayLimitsHere(const v1::JobSpec& spec, const LimitSupport& support) {
  std::string said;
  if (FindIn(spec, "mem") >= 0 && !support.memory_group)
    said += "; mem bounds the address space of each process: no controller of memory is here";
  if (FindIn(spec, "procs") >= 0 && !support.process_group)
    said += "; procs bounds all processes of its user: no controller of processes is here";
  return said;
}

std::vector<std::string_view> LimitNamesHere(const LimitSupport& support) {
  std::vector<std::string_view> names;
  for (const LimitName& limit : kLimitNames) {
    if (limit.name != "procs" || support.process_group || support.nproc_binds)
      names.push_back(limit.name);
  }
  return names;
}

Result<v1::ResourceLimit> ParseLimit(std::string_view text, const std::string& field) {
  const auto pair = ParseNameValue(text, field);
  if (!pair) return pair.error();
  v1::ResourceLimit limit;
  limit.set_name(pair->name);
  const std::string_view number = pair->value;
  const LimitName* const known = FindLimit(limit.name());
  const Unit unit = known == nullptr ? Unit::kCount : known->unit;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = error == std::errc() && end == number.data() + number.size();
  const std::string wrong = Quoted(number) + " in " + Quoted(text);
  if (unit == Unit::kSeconds && !whole) {
    const Result<google::protobuf::Duration> time = ParseDuration(number, field);
    if (!time || time->nanos() != 0) {
      return FieldError(field, wrong + " is no whole number of seconds; write " + limit.name() +
                                   "=90, 90s or 2m");
    }
    value = static_cast<uint64_t>(time->seconds());
  } else if (unit == Unit::kBytes) {
    const Result<uint64_t> bytes = ParseByteSize(number, field);
    if (!bytes) {
      return FieldError(field, wrong + " is no number of bytes; write " + limit.name() +
                                   "=1048576, 512K, 512M or 1GiB");
    }
    value = *bytes;
  } else if (!whole) {
    return FieldError(field, wrong + " is no whole number; write " + limit.name() + "=256");
  }
  limit.set_value(value);
  return limit;
}

}  // namespace brood
