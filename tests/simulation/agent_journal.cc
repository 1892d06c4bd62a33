// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/agent_journal.h"

#include <sys/wait.h>

#include "brood/v1/event.pb.h"
#include "common/job/event_rules.h"

namespace brood::simulation {

// A reader has no use for bytes.
void AgentJournal::Show(const JournalRecord& record) const {
  if (!world_->trace.shown())
    return world_->kernel.Say("record", {record.cursor, record.job_key}, record.payload);
  v1::Event event;
  event.ParseFromString(record.payload);
  const std::string whose =
      record.job_key != 0 ? event.job_id()
                          : event.unit().parent() + std::to_string(event.incarnations().parent());
  world_->kernel.Say("record", {record.cursor, record.job_key},
                     whose + " " + FindEventRule(event.payload_case())->name);
}

AgentJournal::AgentJournal(World* world, const std::string& boot_id) : world_(world) {
  JournalFile& file = world_->disk.journal;
  // A new epoch begins before the tail is cut.
  if (file.torn || file.boot_id != boot_id) {
    file.epochs.BeginAfter(file.records.size());
    world_->kernel.KillPoint();
    file.boot_id = boot_id;
    file.torn = false;
  }
  head_ = file.records.size();
}

void AgentJournal::Append(const std::vector<JournalRecord>& records) {
  JournalFile& file = world_->disk.journal;
  // Should SIGKILL strike, it does so after any byte.
  struct Torn {
    ~Torn() {
      if (whole) return;
      world->kernel.Count(Sometimes::kAgentKilledInAppend);
      const uint64_t kept = world->random.Below(batch->size() + 1);
      for (uint64_t i = 0; i < kept; ++i) file->records.push_back((*batch)[i]);
      if (kept == batch->size() || !world->random.Chance(700)) return;
      world->kernel.Count(Sometimes::kTornBatch);
      file->torn = true;
    }
    World* world;
    JournalFile* file;
    const std::vector<JournalRecord>* batch;
    bool whole = false;
  } torn{world_, &file, &records};
  world_->kernel.KillPoint();
  torn.whole = true;
  for (const JournalRecord& record : records) {
    Show(record);
    file.records.push_back(record);
  }
  head_ = file.records.size();
}

uint64_t AgentJournal::Sync() {
  world_->disk.journal.synced = head_;
  return head_;
}

void AgentJournal::Read(uint64_t after, const Sink& sink) const {
  const std::vector<JournalRecord>& records = world_->disk.journal.records;
  for (size_t i = after; i < head_; ++i) {
    if (!sink(records[i].cursor, records[i].job_key, records[i].payload)) break;
  }
}

}  // namespace brood::simulation
