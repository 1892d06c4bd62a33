// SPDX-License-Identifier: Apache-2.0
//
// The road from a decision to the world, on a disk that is slow, full or bad.
#include "agent/host/sequencer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/temp_directory.h"
#include "tests/testing/tried_files.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TriedFiles;
using What = TriedFiles::What;
using Call = TriedFiles::Call;

class SequencerTest : public ::testing::Test, public CommitListener {
 protected:
  // Whoever waits looks again when it is over.
  class BROOD_THREAD_ATTRIBUTE(scoped_lockable) Locked {
   public:
    explicit Locked(SequencerTest* test) BROOD_THREAD_ATTRIBUTE(acquire_capability(test->mutex_))
        : test_(test) {
      test_->mutex_.Lock();
    }
    ~Locked() BROOD_THREAD_ATTRIBUTE(release_capability()) {
      test_->changed_.NotifyAll();
      test_->mutex_.Unlock();
    }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    SequencerTest* const test_;
  };
  template <typename Condition>
  bool Await(const Condition& condition) BROOD_REQUIRES(mutex_) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (!changed_.WaitUntil(&mutex_, end)) return condition();
    }
    return true;
  }

  void SetUp() override {
    Journal::Options options;
    options.files = &files_;
    Result<std::unique_ptr<Journal>> journal =
        Journal::Open(directory_.path() + "/journal", options);
    ASSERT_TRUE(journal.ok()) << journal.error().message;
    journal_ = *std::move(journal);
    EnvironmentFile::Options environment_options;
    environment_options.files = &files_;
    auto environments =
        EnvironmentFile::Open(directory_.path() + "/environments", environment_options);
    ASSERT_TRUE(environments.ok()) << environments.error().message;
    environments_ = *std::move(environments);
    CoreOptions core;
    core.host = "host1";
    core.process_slots = 100;
    core.queue_limit = 100;
    core_ = std::make_unique<Core>(core);
    sequencer_ = std::make_unique<Sequencer>(core_.get(), journal_.get(), environments_.get(),
                                             &clock_, this);
    sequencer_->Step([](Core& c, Instant now, Batch* batch) {
      const ParentKey parent = *c.StartParent(now, kDefaultParent, {}, batch);
      v1::Unit unit;
      unit.set_pid(500);
      c.OnParentStarted(now, parent, unit, batch);
      c.OnParentReady(now, parent, {}, {}, batch);
    });
    sequencer_->Commit();
  }
  void TearDown() override {
    Release();
    // Its thread calls this listener, which uses it.
    sequencer_->StopSyncs();
    sequencer_.reset();
  }

  void OnPublished(const std::vector<JournalRecord>& records, bool) override {
    const Locked lock(this);
    published_ += records.size();
  }
  void OnEffects(std::vector<Effect> effects) override {
    const Locked lock(this);
    for (const Effect& effect : effects) {
      if (const auto* const start = std::get_if<StartJobEffect>(&effect))
        Tell("start " + start->job.job_id());
      if (std::holds_alternative<SignalJobEffect>(effect)) Tell("signal");
    }
  }
  void OnDeadline(int64_t) override {}
  void OnJournalTrouble(const Status& trouble) override {
    const Locked lock(this);
    troubles_.push_back(trouble ? trouble->reason : "");
  }
  void OnMore() override { sequencer_->Commit(); }

  void Tell(const std::string& what) {
    told_.push_back(what);
    disk_calls_.push_back(files_.Count());
  }

  v1::SubmittedJob Submit(const std::string& id, bool durable, bool with_environment = false) {
    v1::JobSubmission job;
    job.set_job_id(id);
    job.mutable_spec()->mutable_command()->add_argv("true");
    job.mutable_spec()->set_durable(durable);
    if (with_environment) job.mutable_spec()->mutable_environment()->set_clear(true);
    const v1::SubmittedJob answer = sequencer_->Step(
        [&](Core& core, Instant now, Batch* batch) {
          uint64_t key = 0;
          return core.Submit(now, job, 7, &key, batch);
        },
        durable ? Sequencer::Kept::kOnDisk : Sequencer::Kept::kWritten,
        [this, id](const Status& failed) {
          const Locked lock(this);
          Tell(id + (failed ? " " + failed->reason : " kept"));
        });
    sequencer_->Commit();
    return answer;
  }
  void Started(const std::string& id) {
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      StartedFact fact;
      fact.job_key = core.Find(id)->key;
      fact.attempt = 1;
      fact.pid = fact.pgid = 900;
      core.OnStarted(now, fact, batch);
    });
    sequencer_->Commit();
  }

  std::vector<std::string> Told() {
    const Locked lock(this);
    return told_;
  }
  // Waits until it has been told of so much.
  std::vector<std::string> Told(size_t count) {
    const Locked lock(this);
    EXPECT_TRUE(Await([&] { return told_.size() >= count; }));
    return told_;
  }
  void AwaitTold(const std::string& what) {
    const Locked lock(this);
    EXPECT_TRUE(Await([&] { return std::find(told_.begin(), told_.end(), what) != told_.end(); }))
        << what;
  }
  // From here on a sync of a segment waits for Release.
  void Block() {
    {
      const Locked lock(this);
      blocked_ = true;
    }
    files_.Judge([this](const Call& call) {
      if (call.what != What::kSync || !call.path.ends_with(".log")) return 0;
      const Locked lock(this);
      ++in_sync_;
      changed_.NotifyAll();
      EXPECT_TRUE(Await([this] { return !blocked_; }));
      return 0;
    });
  }
  void AwaitSyncs(int count) {
    const Locked lock(this);
    EXPECT_TRUE(Await([&] { return in_sync_ >= count; }));
  }
  void Release() {
    const Locked lock(this);
    blocked_ = false;
  }

  const testing::TempDirectory directory_;
  const RealClock clock_{};
  TriedFiles files_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<EnvironmentFile> environments_;
  std::unique_ptr<Core> core_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> told_;
  std::vector<size_t> disk_calls_;  // that were done when it was told
  std::vector<std::string> troubles_;
  size_t published_ = 0;
  bool blocked_ = false;
  int in_sync_ = 0;
  std::unique_ptr<Sequencer> sequencer_;
};

TEST_F(SequencerTest, ADurableJobIsNeitherAcknowledgedNorStartedBeforeItIsOnTheDisk) {
  Block();
  Submit("a", true, true);
  AwaitSyncs(1);
  EXPECT_THAT(Told(), IsEmpty());
  Release();
  EXPECT_THAT(Told(2), ElementsAre("a kept", "start a"));
  // Both files: written, then synced.
  const std::vector<Call> done = files_.done();
  for (const char* const name : {".log", "/environments"}) {
    const auto last = [&](What what) {
      return std::find_if(
                 done.rbegin(), done.rend(),
                 [&](const Call& call) { return call.what == what && call.path.ends_with(name); }) -
             done.rbegin();
    };
    EXPECT_LT(last(What::kWrite), static_cast<ptrdiff_t>(done.size())) << name;
    EXPECT_LT(last(What::kSync), last(What::kWrite)) << name;
  }
}

TEST_F(SequencerTest, OrdinaryJobsDoNotWaitForThoseThatAreDurable) {
  Block();
  Submit("a", true);
  AwaitSyncs(1);
  Submit("b", false);
  EXPECT_THAT(Told(), ElementsAre("start b", "b kept"));
  Release();
  EXPECT_THAT(Told(4), ElementsAre("start b", "b kept", "a kept", "start a"));
}

TEST_F(SequencerTest, WhatComesDuringASyncSharesTheNext) {
  Block();
  Submit("first", true);
  AwaitSyncs(1);
  for (int i = 0; i < 50; ++i) Submit("job" + std::to_string(i), true);
  EXPECT_THAT(Told(), IsEmpty());
  Release();
  EXPECT_EQ(Told(102).size(), 102u);
  sequencer_->StopSyncs();
  EXPECT_LE(in_sync_, 3);
}

TEST_F(SequencerTest, OfManyAtOnceNothingIsSaidOrStartedBeforeItsSync) {
  std::vector<std::thread> clients;
  for (const char* const client : {"a", "b", "c"}) {
    clients.emplace_back([this, client] {
      for (int i = 0; i < 30; ++i) Submit(client + std::to_string(i) + ".", true);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Told(180).size(), 180u);
  // How many calls the disk had done by then was noted with each.
  const std::vector<Call> done = files_.done();
  const Locked lock(this);
  for (size_t i = 0; i < told_.size(); ++i) {
    const bool start = told_[i].rfind("start ", 0) == 0;
    const std::string id = told_[i].substr(start ? 6 : 0, told_[i].find('.') + 1 - (start ? 6 : 0));
    const auto known = done.begin() + static_cast<ptrdiff_t>(disk_calls_[i]);
    const auto written = std::find_if(done.begin(), known, [&](const Call& call) {
      return call.what == What::kWrite && call.bytes.find(id) != std::string::npos;
    });
    EXPECT_TRUE(std::any_of(written, known, [](const Call& call) {
      return call.what == What::kSync && call.path.ends_with(".log");
    })) << told_[i];
  }
}

TEST_F(SequencerTest, WhatCannotBeWrittenIsHeldAndComesInOrderOnceItCan) {
  Submit("runs", false);
  Started("runs");
  Told(2);
  const size_t published = published_;
  files_.Fail(What::kWrite, ".log", ENOSPC);
  Submit("a", false);
  EXPECT_THAT(Told(), ElementsAre("start runs", "runs kept", "a JOURNAL_FULL"));
  EXPECT_EQ(Submit("b", false).error_reason(), "JOURNAL_FULL");
  sequencer_->Step([](Core& core, Instant now, Batch* batch) {
    ExitedFact fact;
    fact.job_key = core.Find("runs")->key;
    fact.status.exit_code = 0;
    core.OnExited(now, fact, batch);
  });
  sequencer_->Commit();
  EXPECT_EQ(published_, published) << "journal first";
  EXPECT_FALSE(sequencer_->AllCommitted()) << "notes of it must stay";
  sequencer_->Recover();
  EXPECT_EQ(published_, published) << "it is still full";
  files_.Judge(nullptr);
  sequencer_->Recover();
  EXPECT_TRUE(sequencer_->AllCommitted());
  EXPECT_EQ(Submit("c", false).error_reason(), "");
  EXPECT_THAT(Told(), ::testing::Contains("start a")) << "it may be there, it was said";
  EXPECT_THAT(Told(), ::testing::Contains("c kept"));
  EXPECT_THAT(troubles_, ElementsAre("JOURNAL_FULL", ""));
  uint64_t last = 0;
  EXPECT_FALSE(journal_->Read(0, [&](uint64_t cursor, uint64_t, std::string_view) {
    EXPECT_EQ(cursor, ++last);
    return true;
  }));
  EXPECT_EQ(last, published_);
}

TEST_F(SequencerTest, AJobThatRunsCanBeSignalledWhateverTheDiskDoes) {
  Submit("runs", false);
  Started("runs");
  files_.Fail(What::kWrite, ".log", EROFS);
  Submit("a", false);
  EXPECT_FALSE(sequencer_->Step([](Core& core, Instant now, Batch* batch) {
    return core.Signal(now, "runs", 9, false, batch);
  }));
  sequencer_->Commit();
  EXPECT_EQ(Told().back(), "signal");
}

TEST_F(SequencerTest, AFailedSyncRefusesWhoWaitsForItAndStartsThemOnceItIsMended) {
  files_.Fail(What::kSync, ".log", EIO);
  Submit("a", true);
  EXPECT_THAT(Told(1), ElementsAre("a JOURNAL_FAILED"));
  // The thread that synced is still about to tell the core.
  while (Submit("b", true).error_reason().empty()) {
  }
  files_.Judge(nullptr);
  sequencer_->Recover();
  AwaitTold("start a");
  EXPECT_EQ(Submit("c", true).error_reason(), "");
}

TEST_F(SequencerTest, AnEnvironmentThatCannotBeWrittenIsNotAcknowledged) {
  files_.Fail(What::kWrite, "environments", ENOSPC);
  Submit("a", false, true);
  EXPECT_THAT(Told(), ::testing::Contains("a JOURNAL_FULL"));
  EXPECT_EQ(Submit("b", false).error_reason(), "JOURNAL_FULL");
  files_.Judge(nullptr);
  sequencer_->Recover();
  EXPECT_EQ(Submit("b", false).error_reason(), "");
}

TEST_F(SequencerTest, LittleRoomIsMetBeforeAJobIsTakenIn) {
  files_.free_bytes = 1000;
  sequencer_->CheckRoom();
  EXPECT_EQ(Submit("a", false).error_reason(), "JOURNAL_FULL");
  EXPECT_EQ(sequencer_->Look([](const Core& core) { return core.Find("a") == nullptr; }), true);
}

}  // namespace
}  // namespace brood
