// SPDX-License-Identifier: Apache-2.0
#include "agent/host/event_feed.h"

#include <algorithm>
#include <utility>

#include "common/base/planted_bug.h"

namespace brood {
namespace {

void Erase(std::vector<EventFeed::Reader>* readers, const EventReader* reader) {
  readers->erase(
      std::remove_if(readers->begin(), readers->end(),
                     [reader](const EventFeed::Reader& one) { return one.get() == reader; }),
      readers->end());
}

}  // namespace

void EventFeed::AddForAll(Reader reader) {
  const absl::MutexLock lock(&mutex_);
  all_.push_back(std::move(reader));
}

void EventFeed::AddForJob(uint64_t job_key, Reader reader) {
  const absl::MutexLock lock(&mutex_);
  std::vector<Reader>& readers = by_job_[job_key];
  if (std::find(readers.begin(), readers.end(), reader) == readers.end()) {
    readers.push_back(std::move(reader));
  }
}

void EventFeed::RemoveFromJob(uint64_t job_key, const EventReader* reader) {
  const absl::MutexLock lock(&mutex_);
  const auto found = by_job_.find(job_key);
  if (found == by_job_.end()) return;
  Erase(&found->second, reader);
  if (found->second.empty()) by_job_.erase(found);
}

void EventFeed::Remove(const EventReader* reader, const std::vector<uint64_t>& job_keys) {
  for (const uint64_t key : job_keys) RemoveFromJob(key, reader);
  const absl::MutexLock lock(&mutex_);
  Erase(&all_, reader);
}

void EventFeed::Publish(const std::vector<JournalRecord>& records, bool busy) {
  std::vector<Reader> concerned;
  bool begins_round = false;
  {
    const absl::MutexLock lock(&mutex_);
    concerned = std::exchange(due_, {});
    const auto add = [&concerned](const Reader& reader) {
      if (std::find(concerned.begin(), concerned.end(), reader) == concerned.end())
        concerned.push_back(reader);
    };
    for (const Reader& reader : all_) add(reader);
    for (const JournalRecord& record : records) {
      const auto found = by_job_.find(record.job_key);
      if (found == by_job_.end()) continue;
      for (const Reader& reader : found->second) add(reader);
    }
    if (busy && !concerned.empty()) {
      due_ = std::exchange(concerned, {});
      begins_round = !std::exchange(in_round_, true);
    }
  }
  if (begins_round) later_([this] { EndRound(); });
  for (const Reader& reader : concerned) reader->OnMore();
}

void EventFeed::EndRound() {
  std::vector<Reader> due;
  {
    const absl::MutexLock lock(&mutex_);
    due.swap(due_);
    in_round_ = false;
    if (Planted(Bug::kLostWakeUp)) due.clear();
  }
  for (const Reader& reader : due) reader->OnMore();
}

}  // namespace brood
