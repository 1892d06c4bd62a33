// SPDX-License-Identifier: Apache-2.0
//
// How streams go on, without a network.
#include "controller/client/resume_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Error Of(ErrorCode code, const std::string& reason = "") { return Error{code, reason, "", ""}; }
const Error kLost = Of(ErrorCode::kUnavailable);

TEST(IsLostLinkTest, OnlyTheLossOfTheLinkIsTriedAgain) {
  struct Row {
    ErrorCode code;
    bool transport;  // tried again where the transport said it
    bool agent;      // where the agent did
  };
  constexpr Row kRows[] = {
      {ErrorCode::kCancelled, true, false},
      {ErrorCode::kUnknown, true, false},
      {ErrorCode::kInvalidArgument, false, false},
      {ErrorCode::kDeadlineExceeded, false, false},
      {ErrorCode::kNotFound, false, false},
      {ErrorCode::kAlreadyExists, false, false},
      {ErrorCode::kPermissionDenied, false, false},
      {ErrorCode::kResourceExhausted, false, false},
      {ErrorCode::kFailedPrecondition, false, false},
      {ErrorCode::kAborted, false, false},
      {ErrorCode::kOutOfRange, false, false},
      {ErrorCode::kUnimplemented, false, false},
      {ErrorCode::kInternal, true, false},
      {ErrorCode::kUnavailable, true, false},
      {ErrorCode::kDataLoss, false, false},
      {ErrorCode::kUnauthenticated, false, false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(IsLostLink(Of(row.code), false), row.transport) << ErrorCodeName(row.code);
    EXPECT_EQ(IsLostLink(Of(row.code, "ANY"), true), row.agent) << ErrorCodeName(row.code);
  }
  EXPECT_TRUE(IsLostLink(Of(ErrorCode::kResourceExhausted, "SLOW_READER"), true));
  // What the transport says has no reason of the agent's.
  EXPECT_FALSE(IsLostLink(Of(ErrorCode::kResourceExhausted, "SLOW_READER"), false));
}

TEST(BackoffTest, DoublesUpToALongestPauseOfWhichAtMostHalfIsCut) {
  Backoff backoff(100, 400);
  EXPECT_EQ(backoff.Next(0), 100);
  EXPECT_EQ(backoff.Next(100), 100);  // 200, half of it cut
  EXPECT_EQ(backoff.Next(0), 400);
  EXPECT_EQ(backoff.Next(0), 400);
  for (uint64_t random = 0; random < 1'000; ++random) {
    const int64_t pause = backoff.Next(random * 7'919);
    EXPECT_GE(pause, 200);
    EXPECT_LE(pause, 400);
  }
  backoff.Reset();
  EXPECT_EQ(backoff.Next(0), 100);
}

ResumePolicy Policy() {
  ResumePolicy policy;
  policy.first_pause_ns = 10;
  policy.longest_pause_ns = 40;
  policy.give_up_after_ns = 1'000;
  policy.give_up_unreached_ns = 100;
  policy.held_ns = 500;
  policy.failures_max = 20;
  return policy;
}

TEST(RetriesTest, GiveAHostUpWhenItCannotBeReachedForTooLong) {
  Retries retries(Policy());
  retries.OnConnected(0);
  EXPECT_TRUE(retries.OnEnd(kLost, false, 5'000, 0).pause_ns);
  EXPECT_TRUE(retries.OnEnd(kLost, false, 5'999, 0).pause_ns);
  EXPECT_FALSE(retries.OnEnd(kLost, false, 6'000, 0).pause_ns);
}

TEST(RetriesTest, GiveAHostThatWasNeverReachedUpSooner) {
  Retries retries(Policy());
  EXPECT_TRUE(retries.OnEnd(kLost, false, 0, 0).pause_ns);
  EXPECT_FALSE(retries.OnEnd(kLost, false, 100, 0).pause_ns);
}

TEST(RetriesTest, BeginAnewOnceTheHostIsReached) {
  Retries retries(Policy());
  retries.OnConnected(0);
  for (int64_t now = 0; now < 15'000; now += 900) {
    EXPECT_TRUE(retries.OnEnd(kLost, false, now, 0).pause_ns) << now;
    retries.OnConnected(now + 100);
    retries.OnProgress();
  }
}

TEST(RetriesTest, NeverPauseBeyondTheTimeToGiveUp) {
  Retries retries(Policy());
  retries.OnConnected(0);
  for (int i = 0; i < 5; ++i) retries.OnEnd(kLost, false, 0, 0);
  EXPECT_EQ(retries.OnEnd(kLost, false, 997, 0).pause_ns, 3);
}

TEST(RetriesTest, EndWhereEachCallBreaksThoughTheHostIsReached) {
  Retries retries(Policy());
  int tries = 0;
  retries.OnConnected(0);
  while (retries.OnEnd(kLost, false, tries, 0).pause_ns) {
    retries.OnConnected(++tries);
    ASSERT_LT(tries, 100);
  }
  EXPECT_EQ(tries, 20);
}

TEST(RetriesTest, TakeACallThatHeldAsNoPartOfARow) {
  Retries retries(Policy());
  int64_t now = 0;
  for (int tries = 0; tries < 100; ++tries) {
    retries.OnConnected(now);
    ASSERT_TRUE(retries.OnEnd(kLost, false, now += 500, 0).pause_ns) << tries;
  }
}

TEST(RetriesTest, SayThatTheLinkIsLostOnceAndThatItIsBackOnce) {
  Retries retries(Policy());
  EXPECT_FALSE(retries.OnConnected(0));
  // One that is back at once is not worth a word.
  EXPECT_FALSE(retries.OnEnd(kLost, false, 10, 0).announce);
  EXPECT_FALSE(retries.OnConnected(20));
  retries.OnProgress();
  EXPECT_FALSE(retries.OnEnd(kLost, false, 30, 0).announce);
  EXPECT_TRUE(retries.OnEnd(kLost, false, 40, 0).announce);
  EXPECT_FALSE(retries.OnEnd(kLost, false, 50, 0).announce);
  EXPECT_TRUE(retries.OnConnected(60));
  EXPECT_FALSE(retries.OnConnected(70));
}

TEST(RetriesTest, EndAtOnceWithWhatIsNoLossOfTheLink) {
  Retries retries(Policy());
  retries.OnConnected(0);
  EXPECT_FALSE(retries.OnEnd(Of(ErrorCode::kOutOfRange), true, 0, 0).pause_ns);
}

v1::JobSubmission Job(const std::string& id) {
  v1::JobSubmission job;
  job.set_job_id(id);
  return job;
}
v1::RunJobsResponse Accepted(const std::vector<std::string>& ids, const std::string& token) {
  v1::RunJobsResponse response;
  for (const std::string& id : ids) response.add_accepted()->set_job_id(id);
  response.set_resume_token(token);
  return response;
}
v1::Event EventOf(const std::string& id, uint64_t cursor, bool cleaned = false) {
  v1::Event event;
  event.set_job_id(id);
  event.set_cursor(cursor);
  if (cleaned) event.mutable_cleaned();
  return event;
}
std::vector<std::string> Ids(const v1::RunJobsRequest& request) {
  std::vector<std::string> ids;
  for (const v1::JobSubmission& job : request.jobs()) ids.push_back(job.job_id());
  return ids;
}

TEST(RunResumeTest, SendsAgainOnlyWhatWasNotAnswered) {
  RunResume run(true);
  for (const char* const id : {"a", "b", "c"}) run.Submit(Job(id));
  v1::RunJobsRequest request;
  ASSERT_TRUE(run.NextRequest(&request));
  EXPECT_THAT(Ids(request), ElementsAre("a", "b", "c"));
  v1::RunJobsResponse answer = Accepted({"a"}, "t1");
  run.OnResponse(&answer);
  run.Submit(Job("d"));
  run.OnBroken();
  ASSERT_TRUE(run.NextRequest(&request));
  EXPECT_THAT(request.follow_job_ids(), ElementsAre("a"));
  EXPECT_EQ(request.resume_token(), "t1");
  EXPECT_TRUE(request.include_output());
  ASSERT_TRUE(run.NextRequest(&request));
  EXPECT_THAT(request.follow_job_ids(), IsEmpty());
  EXPECT_THAT(Ids(request), ElementsAre("b", "c", "d"));
  EXPECT_FALSE(run.NextRequest(&request));
}

TEST(RunResumeTest, EndsTheJobsToFollowByAMessageWithoutAny) {
  RunResume run(false);
  run.Submit(Job("a"));
  run.Close();
  v1::RunJobsRequest request;
  run.NextRequest(&request);
  EXPECT_TRUE(run.AllSent());
  v1::RunJobsResponse answer = Accepted({"a"}, "");
  run.OnResponse(&answer);
  run.OnBroken();
  EXPECT_FALSE(run.AllSent());
  EXPECT_TRUE(run.NextRequest(&request));
  EXPECT_THAT(request.follow_job_ids(), ElementsAre("a"));
  EXPECT_TRUE(run.NextRequest(&request));
  EXPECT_EQ(request.follow_job_ids_size() + request.jobs_size(), 0);
  EXPECT_TRUE(run.AllSent());
  EXPECT_FALSE(run.Complete());
}

TEST(RunResumeTest, FollowsInMessagesOfAtMostAsManyIdsAsOneTakes) {
  RunResume run(false);
  v1::RunJobsRequest request;
  v1::RunJobsResponse answer;
  for (int i = 0; i < 2'500; ++i) {
    run.Submit(Job("j" + std::to_string(i)));
    answer.add_accepted()->set_job_id("j" + std::to_string(i));
  }
  while (run.NextRequest(&request)) EXPECT_LE(request.jobs_size(), 64);
  run.OnResponse(&answer);
  run.OnBroken();
  std::set<std::string> followed;
  while (run.NextRequest(&request)) {
    EXPECT_LE(request.follow_job_ids_size(), 1'024);
    followed.insert(request.follow_job_ids().begin(), request.follow_job_ids().end());
  }
  EXPECT_EQ(followed.size(), 2'500u);
}

TEST(RunResumeTest, DropsWhatWasSeenAndHandsGapsOn) {
  RunResume run(false);
  run.Submit(Job("a"));
  v1::RunJobsRequest request;
  run.NextRequest(&request);
  v1::RunJobsResponse response = Accepted({"a"}, "t");
  run.OnResponse(&response);
  response.Clear();
  *response.add_events() = EventOf("a", 5);
  *response.add_events() = EventOf("a", 7);
  run.OnResponse(&response);
  EXPECT_EQ(response.events_size(), 2);
  response.Clear();
  *response.add_events() = EventOf("a", 5);
  response.add_events()->mutable_gap()->set_last_cursor(6);
  *response.add_events() = EventOf("a", 7);
  *response.add_events() = EventOf("stranger", 8);
  *response.add_events() = EventOf("a", 9, true);
  *response.add_events() = EventOf("a", 9, true);
  run.OnResponse(&response);
  ASSERT_EQ(response.events_size(), 2);
  EXPECT_TRUE(response.events(0).has_gap());
  EXPECT_EQ(response.events(1).cursor(), 9u);
  run.Close();
  EXPECT_TRUE(run.Complete());
}

TEST(RunResumeTest, LetsARefusedJobGo) {
  RunResume run(false);
  run.Submit(Job("a"));
  run.Close();
  v1::RunJobsRequest request;
  run.NextRequest(&request);
  v1::RunJobsResponse response = Accepted({"a"}, "t");
  response.mutable_accepted(0)->set_error_code(3);
  run.OnResponse(&response);
  EXPECT_TRUE(run.Complete());
  run.OnBroken();
  EXPECT_FALSE(run.HasRequest()) << "nothing of it is to be followed";
}

// An agent: a journal of four events a job, a job known by its id, and calls that tell of theirs
// as RunJobs does.
class Host {
 public:
  void Break() { followed_.clear(); }

  std::vector<v1::RunJobsResponse> Take(const v1::RunJobsRequest& request,
                                        std::mt19937_64& random) {
    std::vector<v1::RunJobsResponse> out;
    const uint64_t after = request.resume_token().empty() ? 0 : std::stoull(request.resume_token());
    for (const std::string& id : request.follow_job_ids()) followed_[id] = after;
    v1::RunJobsResponse answer;
    for (const v1::JobSubmission& job : request.jobs()) {
      answer.add_accepted()->set_job_id(job.job_id());
      if (runs[job.job_id()]++ == 0) waiting_[job.job_id()] = 4;
      if (runs[job.job_id()] > 1) --runs[job.job_id()];  // it was there already
      followed_.emplace(job.job_id(), 0);
    }
    answer.set_resume_token("0");
    if (request.jobs_size() > 0) out.push_back(answer);
    // Some of what is under way happens.
    while (!waiting_.empty() && random() % 4 != 0) {
      auto job = std::next(waiting_.begin(), static_cast<long>(random() % waiting_.size()));
      journal_.push_back(EventOf(job->first, journal_.size() + 1, --job->second == 0));
      if (job->second == 0) waiting_.erase(job);
    }
    if (!request.follow_job_ids().empty()) return out;
    for (const v1::Event& event : journal_) {
      const auto job = followed_.find(event.job_id());
      if (job == followed_.end() || event.cursor() <= job->second) continue;
      job->second = event.cursor();
      v1::RunJobsResponse response;
      *response.add_events() = event;
      response.set_resume_token(std::to_string(LowestSent()));
      out.push_back(response);
    }
    return out;
  }

  std::map<std::string, int> runs;

 private:
  // All before this was sent.
  uint64_t LowestSent() const {
    uint64_t lowest = journal_.size();
    for (const v1::Event& event : journal_) {
      const auto job = followed_.find(event.job_id());
      if (job != followed_.end() && event.cursor() > job->second)
        lowest = std::min(lowest, event.cursor() - 1);
    }
    return lowest;
  }

  std::vector<v1::Event> journal_;
  std::map<std::string, int> waiting_;
  std::map<std::string, uint64_t> followed_;
};

TEST(RunResumeTest, SeesEachEventOnceAndInOrderOverAnyCuts) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Host host;
    RunResume run(false);
    constexpr int kJobs = 50;
    int submitted = 0;
    std::map<std::string, std::vector<uint64_t>> seen;
    std::map<std::string, int> answers;
    for (int rounds = 0; !run.Complete(); ++rounds) {
      ASSERT_LT(rounds, 20'000) << "seed " << seed;
      for (uint64_t more = random() % 20; more > 0 && submitted < kJobs; --more)
        run.Submit(Job("j" + std::to_string(submitted++)));
      if (submitted == kJobs) run.Close();
      v1::RunJobsRequest request;
      if (!run.NextRequest(&request)) request.Clear();
      // Cut on the way there …
      if (random() % 10 == 0) {
        host.Break();
        run.OnBroken();
        continue;
      }
      for (v1::RunJobsResponse& response : host.Take(request, random)) {
        // … or on the way back.
        if (random() % 60 == 0) {
          host.Break();
          run.OnBroken();
          break;
        }
        run.OnResponse(&response);
        for (const v1::SubmittedJob& job : response.accepted()) ++answers[job.job_id()];
        for (const v1::Event& event : response.events())
          seen[event.job_id()].push_back(event.cursor());
      }
    }
    ASSERT_EQ(seen.size(), static_cast<size_t>(kJobs)) << "seed " << seed;
    for (const auto& [id, cursors] : seen) {
      ASSERT_EQ(cursors.size(), 4u) << id << ", seed " << seed;
      ASSERT_TRUE(std::is_sorted(cursors.begin(), cursors.end())) << id << ", seed " << seed;
      ASSERT_EQ(std::set<uint64_t>(cursors.begin(), cursors.end()).size(), 4u) << id;
      ASSERT_EQ(host.runs[id], 1) << id;
      ASSERT_EQ(answers[id], 1) << id;
    }
  }
}

}  // namespace
}  // namespace brood
