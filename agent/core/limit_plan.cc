// SPDX-License-Identifier: Apache-2.0
#include "agent/core/limit_plan.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>

namespace brood {
namespace {

// The names of JobSpec.limits; validation has refused all others.
constexpr std::pair<const char*, int> kResources[] = {
    {"cpu", RLIMIT_CPU},       {"fsize", RLIMIT_FSIZE},     {"data", RLIMIT_DATA},
    {"stack", RLIMIT_STACK},   {"core", RLIMIT_CORE},       {"rss", RLIMIT_RSS},
    {"as", RLIMIT_AS},         {"memlock", RLIMIT_MEMLOCK}, {"nproc", RLIMIT_NPROC},
    {"nofile", RLIMIT_NOFILE}, {"files", RLIMIT_NOFILE},    {"mem", RLIMIT_AS},
    {"procs", RLIMIT_NPROC},
};

void AddLimit(int resource, uint64_t value, internal::v1::StartJob* frame) {
  for (internal::v1::Limit& limit : *frame->mutable_limits()) {
    if (limit.resource() != resource) continue;
    limit.set_value(std::min(limit.value(), value));
    return;
  }
  internal::v1::Limit* const limit = frame->add_limits();
  limit->set_resource(resource);
  limit->set_value(value);
}

}  // namespace

void PlanLimits(const v1::JobSpec& spec, const LimitSupport& support, StartJobEffect* start) {
  for (const v1::ResourceLimit& limit : spec.limits()) {
    if (limit.name() == "mem" && support.memory_group) {
      start->memory_bytes = limit.value();
      continue;
    }
    if (limit.name() == "procs" && support.process_group) {
      start->processes = limit.value();
      continue;
    }
    for (const auto& [name, resource] : kResources) {
      if (limit.name() == name) AddLimit(resource, limit.value(), &start->job);
    }
  }
}

}  // namespace brood
