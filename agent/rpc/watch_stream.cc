// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/watch_stream.h"

#include <algorithm>
#include <utility>

#include "agent/rpc/known_job.h"
#include "agent/rpc/limits.h"
#include "agent/rpc/message_bytes.h"
#include "brood/v1/event.pb.h"
#include "common/job/job_id.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

// The run that an event belongs to.
bool IsOfRun(std::string_view event, const std::string& run_id) {
  v1::Event parsed;
  return parsed.ParseFromArray(event.data(), static_cast<int>(event.size())) &&
         parsed.run_id() == run_id;
}

}  // namespace

WatchStream* WatchStream::Start(Agent* agent, StreamWatch* streams,
                                grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer& buffer) {
  const std::shared_ptr<WatchStream> stream(new WatchStream(agent, context));
  stream->Keep(streams);
  v1::WatchEventsRequest request;
  Status failed;
  if (!ParseBuffer(buffer, &request)) {
    failed = Error{ErrorCode::kInvalidArgument, "BAD_MESSAGE",
                   "the request is no WatchEventsRequest", ""};
  } else {
    failed = stream->Begin(request);
  }
  if (failed) {
    stream->End(ToGrpcStatus(*failed));
  } else if (stream->only_new_) {
    v1::WatchEventsResponse greeting;
    greeting.set_resume_token(stream->TokenOf(stream->cursor()));
    stream->Greet(greeting.SerializeAsString());
  } else {
    stream->Pump();
  }
  return stream.get();
}

Status WatchStream::Begin(const v1::WatchEventsRequest& request) {
  set_include_output(request.include_output());
  set_follow(request.follow());
  run_id_ = request.run_id();
  by_job_ = request.job_ids_size() > 0;
  if (request.job_ids_size() > kJobIdsPerRequestMax) {
    return FieldError("job_ids", "too many; name at most " + std::to_string(kJobIdsPerRequestMax));
  }
  if (!run_id_.empty()) {
    if (Status bad = ValidateJobId("run_id", run_id_)) return bad;
  }
  uint64_t first = UINT64_MAX;
  Status unknown;
  std::vector<std::pair<std::string, KnownJob>> forgotten;
  agent()->sequencer()->Look([&](const Core& core) {
    for (const std::string& id : request.job_ids()) {
      const Result<KnownJob> job = FindJob(*agent(), core, id, "job_ids");
      if (!job) {
        unknown = job.error();
        return;
      }
      if (!jobs_.insert(job->job_key).second) continue;  // named twice
      uncleaned_.insert(job->job_key);
      watched_.push_back(job->job_key);
      first = std::min(first, job->first_cursor);
      if (job->job == nullptr) forgotten.emplace_back(id, *job);
    }
  });
  if (unknown) return unknown;
  if (!request.resume_token().empty()) {
    if (Status failed = Resume(request.resume_token())) return failed;
    Skipped(cursor());
    for (const auto& [id, job] : forgotten) {
      const Result<FoldedJob> folded = FoldForgotten(*agent(), job, id, "job_ids");
      if (!folded) return folded.error();
      if (folded->last_cursor <= cursor()) uncleaned_.erase(job.job_key);
    }
  } else if (request.only_new()) {
    if (!request.follow()) return FieldError("only_new", "needs follow: nothing would come");
    only_new_ = true;
    HoldForGreeting();
    set_cursor(agent()->journal()->head());
  } else if (by_job_) {
    set_cursor(first - 1);
  }
  if (request.follow()) {
    const std::shared_ptr<JournalStream> self = shared_from_this();
    if (!by_job_) agent()->feed()->AddForAll(self);
    for (const uint64_t key : watched_) agent()->feed()->AddForJob(key, self);
  }
  return Ok();
}

bool WatchStream::Wants(uint64_t job_key, int field, std::string_view event) {
  if (by_job_ && jobs_.count(job_key) == 0) return false;
  if (!run_id_.empty() && !IsOfRun(event, run_id_)) return false;
  if (by_job_ && field == v1::Event::kCleanedFieldNumber) uncleaned_.erase(job_key);
  return true;
}

// What was cleaned before will not be seen to be.
void WatchStream::Skipped(uint64_t until) {
  agent()->sequencer()->Look([&](const Core& core) {
    for (const uint64_t key : watched_) {
      const CoreJob* const job = core.Find(key);
      if (job == nullptr) {
        forgotten_.insert(key);
      } else if (job->view.cleaned() && job->last_cursor <= until) {
        uncleaned_.erase(key);
      }
    }
  });
}

bool WatchStream::Over(bool at_head) const {
  if (!by_job_) return false;
  const auto forgotten = [this](uint64_t key) { return forgotten_.count(key) > 0; };
  return uncleaned_.empty() ||
         (at_head && std::all_of(uncleaned_.begin(), uncleaned_.end(), forgotten));
}

void WatchStream::Release() { agent()->feed()->Remove(this, watched_); }

}  // namespace brood
