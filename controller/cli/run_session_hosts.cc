// SPDX-License-Identifier: Apache-2.0
//
// The hosts of a run: who is started when, who cannot be reached, how many may fail.
#include <algorithm>
#include <utility>

#include "common/job/exit_code.h"
#include "controller/cli/command.h"
#include "controller/cli/run_session.h"

namespace brood::cli {

// As many as there are places for, in their order.
void RunSession::StartHosts() {
  while (!cancelled_ && next_host_ < hosts_.size() && in_place_ < places_) StartHost(next_host_);
}

void RunSession::StartHost(size_t host) {
  auto connection = Connection::Open(addresses_[host]);
  // All addresses were looked at before the first host was started.
  if (!connection) return;
  ++next_host_;
  ++in_place_;
  hosts_[host].connection = *std::move(connection);
  fan_out_.AddHost(*hosts_[host].connection);
  if (feed_) return;
  Submit(host, builder_.Job(), {});
  fan_out_.CloseSubmissions(host);
}

// The run is cancelled: what was not started will not be.
void RunSession::LeaveOutRest() {
  if (next_host_ == hosts_.size()) return;
  const std::string sentence = "not started";
  for (; next_host_ < hosts_.size(); ++next_host_) {
    hosts_[next_host_].ended = true;
    HoldNote(next_host_, {sentence, sentence});
    printer_.HostFailed(next_host_, false,
                        Error{ErrorCode::kCancelled, "NOT_STARTED",
                              "the run was cancelled before this host's turn", ""});
  }
  MaybeFinish();
}

void RunSession::OnHostEnd(size_t host, const Status& status) {
  Host& one = hosts_[host];
  one.ended = true;
  --in_place_;
  if (status && !left_) Refuse(host, NewsOfEnd(host, *status));
  if (status) {
    const bool nothing_known = std::none_of(one.jobs.begin(), one.jobs.end(),
                                            [](const auto& job) { return job.second.accepted; });
    if (nothing_known && !one.reached) printer_.HostFailed(host, false, *status);
    for (const auto& [id, job] : one.jobs) {
      if (job.accepted) printer_.JobLost(job, *status);
    }
  }
  const size_t lost = one.jobs.size();
  one.jobs.clear();
  printer_.HostEnd(host);
  if (input_) input_->GiveUp(host);
  if (feed_) {
    feed_->OnHostEnd(host);
    FillFeed();
  }
  if (status) CountFailures(std::max<size_t>(lost, 1));
  // A host that has said all needs its connection no more, and others may. One of a run that is
  // broken off, or that gets input, may still have calls.
  if (!status && !feed_ && !input_ && !cancelled_) {
    loop_.Post([this, host] { hosts_[host].connection.reset(); });
  }
  StartHosts();
  MaybeFinish();
}

// Why, what may have become of its jobs, and what somebody needs who goes on by hand.
HostNotes::News RunSession::NewsOfEnd(size_t host, const Error& why) const {
  HostNotes::News news = NewsOf(why, addresses_[host].target);
  const auto& jobs = hosts_[host].jobs;
  for (const auto& [id, job] : jobs) {
    const char* const fate = job.accepted ? " may go on" : " may never have got there";
    news.alone += "\njob " + names_[host] + "/" + id + fate;
    news.together += "; job " + id + fate + (job.accepted ? " on each" : "");
  }
  const std::string token = fan_out_.resume_token(host);
  if (!token.empty() && !jobs.empty()) {
    news.alone +=
        "\nto go on from here: brood events -f -w " + names_[host] + " --after " + token + " ID…";
  }
  return news;
}

void RunSession::OnLinkLost(size_t host, const Error& why) {
  if (left_) return;
  HostNotes::News news = NewsOf(why, addresses_[host].target);
  const auto lost = [this, &why](const std::string& message) {
    Error error = why;
    error.message = message;
    return LostSentence(error, options_.resume);
  };
  HoldNote(host, {lost(news.alone), lost(news.together)});
}

void RunSession::OnLinkBack(size_t host) {
  if (!left_) HoldNote(host, {kBackSentence, kBackSentence});
}

// The highest, but nothing is worse than not knowing: 125 wins.
void RunSession::CountCode(const v1::Job& job) {
  const bool is_cancelled = job.outcome() == v1::OUTCOME_CANCELLED;
  if (is_cancelled) ++cancelled_jobs_;
  const int code = RunExitCode(job);
  if (code == 0) ++good_jobs_;
  // The code is that of the failures for which the rest was cancelled.
  if (too_many_failed_ && is_cancelled) return;
  if (end_.exit_code != kExitBroodFailed) {
    end_.exit_code = code == kExitBroodFailed ? code : std::max(end_.exit_code, code);
  }
  if (code != 0) CountFailures(1);
}

void RunSession::CountFailures(size_t failures) {
  failed_ += failures;
  if (!options_.max_failed || failed_ <= *options_.max_failed || cancelled_) return;
  too_many_failed_ = true;
  printer_.Note(std::to_string(failed_) + " failed: cancelling the rest");
  printer_.HoldEnds();
  Cancel(0);
}

void RunSession::HoldNote(size_t host, HostNotes::News news) {
  printer_.HoldNote(host, std::move(news));
  if (!std::exchange(release_planned_, true)) PlanRelease(BootTimeNanos());
}

void RunSession::PlanRelease(int64_t held_since_ns) {
  loop_.At(BootTime{BootTimeNanos() + kNotesNanos}, [this, held_since_ns] {
    const bool some_are_tried = std::any_of(hosts_.begin(), hosts_.end(), [](const Host& host) {
      return host.connection && !host.reached && !host.ended;
    });
    if (some_are_tried && BootTimeNanos() - held_since_ns < kNotesLongestNanos) {
      return PlanRelease(held_since_ns);
    }
    release_planned_ = false;
    printer_.ReleaseNotes();
  });
}

void RunSession::Refuse(size_t host, HostNotes::News news) {
  HoldNote(host, std::move(news));
  end_.exit_code = kExitBroodFailed;
}

}  // namespace brood::cli
