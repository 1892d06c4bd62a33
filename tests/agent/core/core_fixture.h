// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/core/core.h"
#include "common/job/event_order.h"

namespace brood {

// A core, a clock that the test turns, and all that the core decided.
class CoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Boot(2, 2, 3); }

  // The last life's events have been checked to the end of each job.
  void Boot(uint32_t processes, uint32_t threads, uint32_t queue) {
    CoreOptions options;
    options.host = "host1";
    options.boot_id = boot_id_;
    options.agent_incarnation = ++incarnation_;
    options.process_slots = processes;
    options.thread_slots = threads;
    options.queue_limit = queue;
    options.output_bytes_kept = 1 << 20;
    core_ = std::make_unique<Core>(options);
  }

  void StartParent() {
    Batch batch;
    ASSERT_TRUE(core_->StartParent(now_, kDefaultParent, {}, &batch).ok());
    Take(&batch);
    v1::Unit unit;
    unit.set_mode(v1::MODE_FORK);
    unit.set_pid(500);
    core_->OnParentStarted(now_, parent_, unit, &batch);
    v1::Task add;
    add.set_name("demo.add");
    add.add_parameters()->set_type(v1::VALUE_TYPE_INT);
    core_->OnParentReady(now_, parent_, {add}, {"demo"}, &batch);
    Take(&batch);
  }

  v1::SubmittedJob Submit(const std::string& id, v1::Mode mode = v1::MODE_AUTO,
                          int64_t timeout_s = 0) {
    v1::JobSubmission job;
    job.set_job_id(id);
    if (mode == v1::MODE_AUTO) {
      job.mutable_spec()->mutable_command()->add_argv("true");
    } else {
      job.mutable_spec()->mutable_call()->set_task("demo.add");
      job.mutable_spec()->mutable_call()->add_arguments()->set_word("1");
      job.mutable_spec()->set_mode(mode);
    }
    if (timeout_s > 0) job.mutable_spec()->mutable_timeout()->set_seconds(timeout_s);
    Batch batch;
    uint64_t key = 0;
    v1::SubmittedJob answer = core_->Submit(now_, job, 7, &key, &batch);
    Take(&batch);
    return answer;
  }

  // With an environment that nobody may read.
  void SubmitWithToken(const std::string& id) {
    v1::JobSubmission job;
    job.set_job_id(id);
    job.mutable_spec()->mutable_command()->add_argv("true");
    v1::EnvironmentVariable* const secret = job.mutable_spec()->mutable_environment()->add_set();
    secret->set_name("TOKEN");
    secret->set_value("hush");
    Batch batch;
    uint64_t key = 0;
    core_->Submit(now_, job, 7, &key, &batch);
    Take(&batch);
  }

  // Of the parent whose pid is 500.
  void Started(const std::string& id, int pid) {
    StartedFact fact;
    fact.job_key = core_->Find(id)->key;
    fact.attempt = 1;
    fact.pid = fact.tid = fact.pgid = pid;
    fact.ppid = 500;
    fact.start_ns = now_.boot.ns;
    Batch batch;
    core_->OnStarted(now_, fact, &batch);
    Take(&batch);
  }

  void Exited(const std::string& id, int code) {
    ExitedFact fact;
    fact.job_key = core_->Find(id)->key;
    fact.status.exit_code = code;
    Batch batch;
    core_->OnExited(now_, fact, &batch);
    Take(&batch);
  }

  void ParentEnded() {
    Batch batch;
    core_->OnParentEnded(now_, parent_, ParentEndFact(), &batch);
    Take(&batch);
  }

  // Another life of the agent, on the journal of all before it.
  void Reboot() {
    const std::vector<JournalRecord> journal = records_;
    Boot(2, 2, 3);
    for (const JournalRecord& record : journal) {
      v1::Event event;
      ASSERT_TRUE(event.ParseFromString(record.payload));
      core_->Replay(record.cursor, record.job_key, event);
    }
    for (const auto& [job_key, bytes] : std::map<uint64_t, std::string>(environments_)) {
      v1::Environment environment;
      ASSERT_TRUE(environment.ParseFromString(bytes));
      if (!core_->ReplayEnvironment(job_key, environment)) environments_.erase(job_key);
    }
    Batch batch;
    core_->EndReplay(now_, &batch);
    Take(&batch);
  }

  void Closed(const std::string& id) {
    Batch batch;
    core_->OnOutputClosed(now_, core_->Find(id)->key, v1::OutputClosed(), &batch);
    Take(&batch);
  }

  void Cancel(const std::string& id, int64_t grace_s) {
    Batch batch;
    EXPECT_FALSE(core_->Cancel(now_, id, grace_s * 1'000'000'000, "test", &batch));
    Take(&batch);
  }

  void Advance(int64_t seconds) {
    now_.boot.ns += seconds * 1'000'000'000;
    now_.wall.ns += seconds * 1'000'000'000;
    Batch batch;
    if (core_->NextDeadline() <= now_.boot.ns) core_->OnTime(now_, &batch);
    Take(&batch);
  }

  void Take(Batch* batch) {
    sync_wanted_ |= batch->sync;
    for (const auto& [job_key, bytes] : batch->environments) environments_[job_key] = bytes;
    for (const uint64_t job_key : batch->spent_environments) environments_.erase(job_key);
    for (const JournalRecord& record : batch->records) {
      v1::Event event;
      ASSERT_TRUE(event.ParseFromString(record.payload));
      EXPECT_EQ(event.cursor(), record.cursor);
      const Status broken = order_.Check(event);
      EXPECT_FALSE(broken) << broken->message;
      records_.push_back(record);
      events_.push_back(event);
    }
    for (Effect& effect : batch->effects) effects_.push_back(std::move(effect));
    *batch = Batch();
  }

  std::vector<int> Payloads(const std::string& id) const {
    std::vector<int> payloads;
    for (const v1::Event& event : events_) {
      if (event.job_id() == id) payloads.push_back(event.payload_case());
    }
    return payloads;
  }

  template <typename E>
  std::vector<E> Effects() {
    std::vector<E> found;
    for (const Effect& effect : effects_) {
      if (const E* const one = std::get_if<E>(&effect)) found.push_back(*one);
    }
    return found;
  }

  const ParentKey parent_{kDefaultParent, 1};
  Instant now_{BootTime{1'000'000'000'000}, WallTime{1'700'000'000'000'000'000}};
  uint64_t incarnation_ = 0;
  std::string boot_id_ = "boot";
  bool sync_wanted_ = false;
  std::unique_ptr<Core> core_;
  EventOrder order_;
  std::vector<JournalRecord> records_;
  std::map<uint64_t, std::string> environments_;  // kept, by job key
  std::vector<v1::Event> events_;
  std::vector<Effect> effects_;
};

}  // namespace brood
