// SPDX-License-Identifier: Apache-2.0
//
// What an agent restores from a snapshot is what it would have replayed.
#include <gmock/gmock.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <random>
#include <string>
#include <vector>

#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

std::string Deterministic(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

struct Snapshot {
  internal::v1::CoreState state;
  std::vector<internal::v1::JobState> jobs;
  std::vector<KnownId> ids;

  std::string Text() const {
    std::string text = state.DebugString();
    for (const internal::v1::JobState& job : jobs) text += job.DebugString();
    return text;
  }
  std::string Bytes() const {
    std::string bytes = Deterministic(state);
    for (const internal::v1::JobState& job : jobs) bytes += Deterministic(job);
    return bytes;
  }
};

Snapshot TakeSnapshot(const Core& core) {
  Snapshot snapshot;
  snapshot.state = core.State();
  for (const auto& [key, job] : core.jobs()) FillJobState(*job, &snapshot.jobs.emplace_back());
  return snapshot;
}

class CoreSnapshotTest : public CoreTest {
 protected:
  std::unique_ptr<Core> NewCore() {
    CoreOptions options;
    options.host = "host1";
    options.boot_id = "boot";
    options.agent_incarnation = ++incarnation_;
    options.process_slots = options.thread_slots = 2;
    options.queue_limit = 100;
    options.ended_jobs_kept = 50;
    return std::make_unique<Core>(options);
  }
  void ReplayBehind(uint64_t cursor, Core* core) const {
    for (size_t i = cursor; i < records_.size(); ++i)
      core->Replay(records_[i].cursor, records_[i].job_key, events_[i]);
  }
  std::unique_ptr<Core> Restore(const Snapshot& snapshot) {
    std::unique_ptr<Core> core = NewCore();
    for (const internal::v1::JobState& job : snapshot.jobs) core->RestoreJob(job);
    core->Restore(snapshot.state, snapshot.ids);
    return core;
  }
  // The jobs that have been sent to a parent and are in that state now.
  std::vector<uint64_t> Keys(bool started, bool ended) const {
    std::vector<uint64_t> keys;
    for (const auto& [key, job] : core_->jobs()) {
      if (job->started() == started && job->ended == ended && job->view.attempt() > 0 &&
          !job->waits)
        keys.push_back(key);
    }
    return keys;
  }
  // Something that may happen on a host, whatever it is.
  void Step(std::mt19937_64* random);

  int submitted_ = 0;
  int pid_ = 1'000;
};

void CoreSnapshotTest::Step(std::mt19937_64* random) {
  const auto one_of = [random](const std::vector<uint64_t>& keys) {
    return keys[(*random)() % keys.size()];
  };
  const auto idle = [this] { return core_->queued() > 50; };
  now_.boot.ns += 1'000'000;
  now_.wall.ns += 1'000'000;
  Batch batch;
  const std::vector<uint64_t> starting = Keys(false, false);
  const std::vector<uint64_t> running = Keys(true, false);
  const ParentEntry& parent = core_->parents().at(kDefaultParent);
  const uint64_t choice = (*random)() % 20;
  if (choice < 4 && !idle()) {
    const v1::Mode modes[] = {v1::MODE_AUTO, v1::MODE_FORK, v1::MODE_THREAD};
    v1::JobSubmission job;
    job.set_job_id("job-" + std::to_string(++submitted_));
    const v1::Mode mode = modes[(*random)() % 3];
    if (mode == v1::MODE_AUTO) {
      job.mutable_spec()->mutable_command()->add_argv("true");
      (*job.mutable_spec()->mutable_labels())["a"] = "b";
      (*job.mutable_spec()->mutable_labels())["c"] = "d";
    } else {
      job.mutable_spec()->mutable_call()->set_task("demo.add");
      job.mutable_spec()->mutable_call()->add_arguments()->set_word("1");
      job.mutable_spec()->set_mode(mode);
    }
    if ((*random)() % 4 == 0) job.mutable_spec()->mutable_timeout()->set_nanos(20'000'000);
    if ((*random)() % 4 == 0) job.mutable_spec()->mutable_kill_grace()->set_nanos(5'000'000);
    if ((*random)() % 4 == 0) job.mutable_spec()->mutable_environment()->set_clear(true);
    uint64_t key = 0;
    core_->Submit(now_, job, static_cast<uint32_t>(submitted_), &key, &batch);
  } else if (choice < 8 && !starting.empty()) {
    const CoreJob& job = *core_->Find(one_of(starting));
    StartedFact fact;
    fact.job_key = job.key;
    fact.attempt = job.view.attempt();
    fact.pid = job.is_thread() ? 500 : ++pid_;
    fact.tid = fact.pgid = ++pid_;
    fact.ppid = 500;
    fact.start_ns = now_.boot.ns;
    fact.threads_at_fork = static_cast<uint32_t>((*random)() % 3);
    if (fact.threads_at_fork > 1) fact.hazards.emplace_back().set_name("a mutex");
    core_->OnStarted(now_, fact, &batch);
  } else if (choice < 11 && !running.empty()) {
    const uint64_t key = one_of(running);
    if (core_->Find(key)->is_thread()) {
      ThreadEndedFact fact;
      fact.job_key = key;
      if ((*random)() % 2 == 0) {
        fact.result.threw = "no";
      } else {
        fact.result.returned.emplace().set_int_value(5);
      }
      core_->OnThreadEnded(now_, fact, &batch);
    } else {
      ExitedFact fact;
      fact.job_key = key;
      fact.status.exit_code = static_cast<int32_t>((*random)() % 3);
      core_->OnExited(now_, fact, &batch);
    }
  } else if (choice == 11 && !running.empty()) {
    core_->OnOutput(now_, one_of(running), v1::STREAM_STDERR, 0, (*random)() % 100'000, &batch);
  } else if (choice == 12 && !running.empty()) {
    core_->OnProgress(now_.wall, one_of(running), CallProgress{now_.boot.ns, 0.5, "half"}, &batch);
  } else if (choice == 13 && !running.empty()) {
    core_->OnStopped(now_, one_of(running), (*random)() % 2 == 0 ? 19 : 0, &batch);
  } else if (choice == 14 && core_->jobs().size() > 3) {
    const uint64_t key = std::prev(core_->jobs().end(), 1 + (*random)() % 3)->first;
    core_->Cancel(now_, core_->Find(key)->view.job_id(), (*random)() % 2 == 0 ? -1 : 3'000'000,
                  "test", &batch);
  } else if (choice == 15 && !running.empty()) {
    StuckFact fact;
    fact.job_key = one_of(running);
    core_->OnStuckSuspected(now_, fact, &batch);
    core_->OnStillStuck(fact.job_key, &batch);
  } else if (choice == 16 && !starting.empty()) {
    FailedFact fact;
    fact.job_key = one_of(starting);
    fact.attempt = core_->Find(fact.job_key)->view.attempt();
    fact.step = "exec";
    core_->OnFailedToStart(now_, fact, &batch);
  } else if (choice == 17 && parent.state == v1::PARENT_STATE_RUNNING && (*random)() % 8 == 0) {
    if ((*random)() % 2 == 0)
      (void)core_->EndParent(now_, kDefaultParent, v1::PARENT_END_ABORT, &batch);
    const ParentKey life = parent.key;
    if ((*random)() % 2 == 0) core_->OnParentEnding(now_, life, v1::PARENT_END_ABORT, &batch);
    ParentEndFact fact;
    if (!running.empty()) fact.culprit_job_key = one_of(running);
    core_->OnParentEnded(now_, life, fact, &batch);
  } else if (choice == 18 && !running.empty()) {
    core_->OnReparented(now_, ReparentedFact{one_of(running), 77, "init", v1::OBSERVER_AGENT},
                        &batch);
  } else if (core_->NextDeadline() <= now_.boot.ns) {
    core_->OnTime(now_, &batch);
  }
  Take(&batch);
  if (parent.state == v1::PARENT_STATE_ENDED)
    (void)core_->StartParent(now_, kDefaultParent, {}, &batch);
  if (parent.state == v1::PARENT_STATE_STARTING && (*random)() % 4 == 0) {
    v1::Unit unit;
    unit.set_mode(v1::MODE_FORK);
    unit.set_pid(500);
    core_->OnParentStarted(now_, parent.key, unit, &batch);
    v1::Task add;
    add.set_name("demo.add");
    add.add_parameters()->set_type(v1::VALUE_TYPE_INT);
    core_->OnParentReady(now_, parent.key, {add}, {"demo"}, &batch);
  }
  for (const uint64_t key : core_->TakeEnded()) {
    if ((*random)() % 4 == 0) continue;  // Held open by somebody, for ever.
    v1::OutputClosed closed;
    closed.set_stdout_bytes(core_->Find(key)->view.stdout_bytes());
    closed.set_stderr_bytes(core_->Find(key)->view.stderr_bytes());
    core_->OnOutputClosed(now_, key, closed, &batch);
  }
  for (const Effect& effect : batch.effects) {
    if (const auto* tree = std::get_if<TreeEffect>(&effect))
      core_->OnTree(now_, tree->job_key, {}, &batch);
  }
  Take(&batch);
}

TEST_F(CoreSnapshotTest, ARestoredStateIsTheReplayedOne) {
  for (const uint64_t seed : {11, 12, 13, 14, 15, 16}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    records_.clear();
    events_.clear();
    order_ = EventOrder();
    core_ = NewCore();
    StartParent();
    std::vector<Snapshot> snapshots;
    for (int step = 0; step < 900; ++step) {
      Step(&random);
      if (step % 12 == 0) snapshots.push_back(TakeSnapshot(*core_));
      // Another life of the agent now and then.
      if (step % 300 != 299) continue;
      Batch batch;
      core_ = Restore(snapshots.back());
      ReplayBehind(snapshots.back().state.next_cursor() - 1, core_.get());
      core_->EndReplay(now_, &batch);
      Take(&batch);
    }
    const std::unique_ptr<Core> replayed = NewCore();
    size_t at = 0;
    for (const Snapshot& snapshot : snapshots) {
      for (; at + 1 < snapshot.state.next_cursor(); ++at)
        replayed->Replay(records_[at].cursor, records_[at].job_key, events_[at]);
      ASSERT_EQ(snapshot.Text(), TakeSnapshot(*replayed).Text());
      ASSERT_EQ(snapshot.Bytes(), TakeSnapshot(*replayed).Bytes());
    }
    ReplayBehind(at, replayed.get());
    const std::string whole = TakeSnapshot(*replayed).Bytes();
    EXPECT_GT(replayed->State().known_ids(), 0u);
    for (const Snapshot& snapshot : snapshots) {
      const std::unique_ptr<Core> restored = Restore(snapshot);
      ReplayBehind(snapshot.state.next_cursor() - 1, restored.get());
      ASSERT_EQ(TakeSnapshot(*restored).Bytes(), whole) << "at " << snapshot.state.next_cursor();
    }
    // What was looked at was worth it.
    EXPECT_GT(records_.size(), 800u);
    for (const v1::Event::PayloadCase payload :
         {v1::Event::kQueued, v1::Event::kExited, v1::Event::kThreadEnded, v1::Event::kTimedOut,
          v1::Event::kCancelRequested, v1::Event::kParentEnded}) {
      EXPECT_TRUE(std::any_of(events_.begin(), events_.end(), [payload](const v1::Event& event) {
        return event.payload_case() == payload;
      })) << payload;
    }
  }
}

TEST_F(CoreSnapshotTest, KnowsWhatTheJournalNoLongerHas) {
  StartParent();
  Submit("long", v1::MODE_AUTO, 50);
  Started("long", 700);
  const Snapshot snapshot = TakeSnapshot(*core_);
  core_ = Restore(snapshot);
  Batch batch;
  core_->EndReplay(now_, &batch);
  Advance(60);
  EXPECT_EQ(core_->Find("long")->view.spec().command().argv(0), "true");
  EXPECT_EQ(core_->Find("long")->cause, v1::END_CAUSE_TIMED_OUT);
}

TEST_F(CoreSnapshotTest, AForgottenIdIsStillKnownAndDoesNotRunAgain) {
  core_ = NewCore();
  StartParent();
  const auto run = [this](const std::string& id) {
    EXPECT_EQ(Submit(id).error_code(), 0);
    Started(id, ++pid_);
    Exited(id, 3);
    Closed(id);
  };
  run("first");
  for (size_t i = 0; i < 50; ++i) run("job-" + std::to_string(i));
  ASSERT_EQ(core_->Find("first"), nullptr);
  const size_t events = records_.size();
  const auto check = [&] {
    v1::SubmittedJob again = Submit("first");
    EXPECT_TRUE(again.already_existed());
    EXPECT_EQ(again.spec_digest(), 7u);
    Batch batch;
    uint64_t key = 0;
    v1::JobSubmission other;
    other.set_job_id("first");
    other.mutable_spec()->mutable_command()->add_argv("other");
    again = core_->Submit(now_, other, 8, &key, &batch);
    EXPECT_EQ(again.error_code(), static_cast<int>(ErrorCode::kAlreadyExists));
    EXPECT_EQ(again.spec_digest(), 7u);
    EXPECT_TRUE(batch.empty());
    EXPECT_EQ(records_.size(), events);
    EXPECT_EQ(core_->FindForgotten("first")->outcome, v1::OUTCOME_EXITED);
    EXPECT_EQ(core_->FindForgotten("never"), nullptr);
  };
  check();
  Snapshot snapshot = TakeSnapshot(*core_);
  for (const KnownId& id : core_->TakeFreshIds()) snapshot.ids.push_back(id);
  EXPECT_EQ(snapshot.ids.size(), 1u);
  core_ = Restore(snapshot);
  check();
  EXPECT_TRUE(core_->TakeFreshIds().empty());
  EXPECT_EQ(TakeSnapshot(*core_).Bytes(), snapshot.Bytes());
}

TEST(KnownIdsTest, KeepsExactlyTheNewest) {
  KnownIds ids(1'000);
  ids.StartAt((uint64_t{1} << 32) - 2'000);  // Numbers go around.
  const auto hash = [](int i) { return HashOfJobId("job-" + std::to_string(i)); };
  for (int i = 0; i < 5'000; ++i) {
    KnownId id;
    id.hash = hash(i);
    id.job_key = static_cast<uint64_t>(i) & 0xffff;
    ids.Add(id, true);
    ASSERT_EQ(ids.Find(hash(i))->job_key, static_cast<uint64_t>(i));
    ASSERT_EQ(ids.Find(hash(i - 1'000)), nullptr);
    if (i >= 999) {
      ASSERT_NE(ids.Find(hash(i - 999)), nullptr);
    }
  }
  EXPECT_EQ(ids.TakeFresh().size(), 5'000u);
}

}  // namespace
}  // namespace brood
