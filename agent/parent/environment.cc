// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/environment.h"

#include <unistd.h>

namespace brood {
namespace {

// Both look byte by byte: in a forked child each page of libc that is called first has to be
// mapped.

std::string_view NameOf(const char* entry) {
  size_t size = 0;
  while (entry[size] != '\0' && entry[size] != '=') ++size;
  return {entry, size};
}

bool HasName(const char* entry, std::string_view name) {
  for (const char byte : name) {
    if (*entry++ != byte) return false;
  }
  return *entry == '=';
}

}  // namespace

std::vector<std::string> CopyEnvironment() {
  std::vector<std::string> copy;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    copy.emplace_back(*entry);
  }
  return copy;
}

JobEnvironment::JobEnvironment(const internal::v1::StartJob& job, size_t base_size)
    : job_(job),
      own_{"BROOD_HOST=" + job.host(), "BROOD_JOB_ID=" + job.job_id(),
           "BROOD_RUN_ID=" + job.run_id(), "BROOD_JOURNAL=" + job.journal(), "BROOD_MODE=fork"} {
  pointers_.reserve(base_size + static_cast<size_t>(job.environment().set_size()) + own_.size() +
                    1);
}

void JobEnvironment::Start(const char* const* base) {
  const internal::v1::EnvironmentChange& change = job_.environment();
  if (!change.clear()) {
    for (; base != nullptr && *base != nullptr; ++base) pointers_.push_back(*base);
  }
  for (const std::string& name : change.unset()) Unset(name);
  for (const std::string& entry : change.set()) Set(entry.c_str());
  for (const std::string& entry : own_) Set(entry.c_str());
  pointers_.push_back(nullptr);
}

const char** JobEnvironment::Place(std::string_view name) {
  for (const char*& entry : pointers_) {
    if (entry != nullptr && HasName(entry, name)) return &entry;
  }
  return nullptr;
}

void JobEnvironment::Set(const char* entry) {
  if (const char** const place = Place(NameOf(entry))) {
    *place = entry;
  } else {
    pointers_.push_back(entry);
  }
}

void JobEnvironment::Unset(std::string_view name) {
  std::erase_if(pointers_, [name](const char* entry) { return HasName(entry, name); });
}

const char* JobEnvironment::Find(std::string_view name) const {
  for (const char* const entry : pointers_) {
    if (entry != nullptr && HasName(entry, name)) return entry + name.size() + 1;
  }
  return nullptr;
}

}  // namespace brood
