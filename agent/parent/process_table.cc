// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/process_table.h"

#include <utility>

namespace brood {

ProcessJob* ProcessTable::Add(std::unique_ptr<ProcessJob> job,
                              const std::function<void()>& note_start) {
  ProcessJob* const added = job.get();
  const std::lock_guard lock(mutex_);
  note_start();
  jobs_.insert_or_assign(added->job_key, std::move(job));
  return added;
}

ProcessJob* ProcessTable::Find(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(job_key);
  return found != jobs_.end() ? found->second.get() : nullptr;
}

void ProcessTable::Remove(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  jobs_.erase(job_key);
}

void ProcessTable::ForEach(const std::function<void(ProcessJob*)>& visit) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, job] : jobs_) visit(job.get());
}

}  // namespace brood
