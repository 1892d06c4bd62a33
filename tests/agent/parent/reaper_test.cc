// SPDX-License-Identifier: Apache-2.0
//
// What SIGCHLD, which hides later ones while it is pending, lets the reaper see.
#include "agent/parent/reaper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/outbox/outbox_reader.h"
#include "agent/outbox/outbox_writer.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

class ReaperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    ASSERT_EQ(::sigprocmask(SIG_BLOCK, &signals, nullptr), 0);
    Result<std::unique_ptr<Reaper>> reaper =
        Reaper::Create(loop_.get(), &processes_, &notes_, [](ProcessJob*) {});
    ASSERT_TRUE(reaper.ok());
    reaper_ = *std::move(reaper);
  }
  void TearDown() override {
    for (const ProcessJob* const job : jobs_) {
      if (job->ended) continue;
      ::kill(job->pid, SIGKILL);
      ::waitpid(job->pid, nullptr, 0);
    }
  }

  ProcessJob* Start() {
    auto job = std::make_unique<ProcessJob>();
    job->job_key = jobs_.size() + 1;
    job->pid = ::fork();
    if (job->pid == 0) {
      for (;;) ::pause();
    }
    jobs_.push_back(processes_.Add(std::move(job), [] {}));
    reaper_->Watch(jobs_.back());
    return jobs_.back();
  }
  // Sends it, and waits until the kernel has done it and sent the SIGCHLD.
  static void SignalAndAwait(const ProcessJob* job, int signal, int change) {
    ASSERT_EQ(::kill(job->pid, signal), 0);
    siginfo_t seen{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(job->pid), &seen, change | WNOWAIT), 0);
  }
  size_t Stops(const ProcessJob* job) {
    reader_.Read([this](const Note& note, std::string_view) { seen_.push_back(note); });
    size_t count = 0;
    for (const Note& note : seen_)
      count += note.kind == NoteKind::kStopped && note.job_key == job->job_key;
    return count;
  }

  testing::TempDirectory directory_;
  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create();
  ProcessTable processes_;
  Notes notes_{*OutboxWriter::Create(directory_.path()), [] {}};
  OutboxReader reader_{directory_.path()};
  std::unique_ptr<Reaper> reaper_;
  std::vector<ProcessJob*> jobs_;
  std::vector<Note> seen_;
};

TEST_F(ReaperTest, AStopIsSeenWhoseSigchldAnEndHidesAfterAnotherStop) {
  const ProcessJob* const other = Start();
  const ProcessJob* const ends = Start();
  ProcessJob* const expected = Start();
  // As if its signal had been sent but had not come to it yet.
  reaper_->ExpectChange(expected);
  SignalAndAwait(other, SIGSTOP, WSTOPPED);
  loop_->AfterRound([&, rounds = 0]() mutable {
    if (++rounds == 2) return loop_->Stop();
    EXPECT_EQ(Stops(other), 1u);
    SignalAndAwait(ends, SIGKILL, WEXITED);
    SignalAndAwait(expected, SIGSTOP, WSTOPPED);
  });
  loop_->Run();
  EXPECT_EQ(Stops(expected), 1u);
}

}  // namespace
}  // namespace brood
