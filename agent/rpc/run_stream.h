// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "agent/rpc/event_page.h"
#include "agent/rpc/write_watch.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// One RunJobs call: submits what comes in, and sends the events of these jobs as
// the journal has them. It holds a cursor and at most one write; whatever comes
// meanwhile waits in the journal. A call may begin where another one broke.
class RunStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                        public EventReader,
                        public std::enable_shared_from_this<RunStream> {
 public:
  // Lives until OnDone.
  static RunStream* Start(Agent* agent, StreamWatch* streams, grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnMore() override { Pump(); }

 private:
  explicit RunStream(Agent* agent) : agent_(agent), pages_(agent->journal(), agent->spool()) {}
  void Submit();
  // The jobs that the client goes on with.
  Status Follow(const v1::RunJobsRequest& request);
  void ReadOn();
  void Pump();
  // The next message to send; empty if there is none now. Pumper only.
  std::string NextMessage(Status* failed);
  std::string ReadPast(Status* failed);
  // Tells of what is no longer kept, if anything of it could be wanted.
  std::string ReadGap(uint64_t oldest);
  bool Wants(uint64_t cursor, uint64_t job_key, int field);
  // What became of a request is known.
  void Answer(uint64_t number, std::string answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The job is cleaned, and all of it sent.
  void Forget(uint64_t job_key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // To what there is of the jobs that it has.
  void StopListening();
  // With the token of what was sent.
  std::string WithToken(std::string message);
  uint64_t SentUpTo() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnSlow();
  void End(const grpc::Status& status);

  // A job that was there before this call: its past is sent apart.
  struct Past {
    uint64_t job_key = 0;
    uint64_t after = 0;
    uint64_t until = 0;
    bool cleaned = false;  // there is nothing of it after that
  };

  // A request with jobs. `head` is the journal's at its time: what comes after that of the first
  // one may be of jobs that are not in jobs_ yet.
  struct Submission {
    uint64_t head = 0;
    bool done = false;
    std::string answer;  // once done
  };

  Agent* const agent_;
  const EventPages pages_;
  std::shared_ptr<RunStream> self_;  // until OnDone
  std::shared_ptr<WriteWatch> write_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;  // the one write in flight

  absl::Mutex mutex_;
  std::deque<std::string> accepted_ ABSL_GUARDED_BY(mutex_);
  // Jobs not yet cleaned, and the cursor after which their events are live.
  std::unordered_map<uint64_t, uint64_t> jobs_ ABSL_GUARDED_BY(mutex_);
  std::deque<Past> pasts_ ABSL_GUARDED_BY(mutex_);
  uint64_t cursor_ ABSL_GUARDED_BY(mutex_) = 0;
  // By number, the requests that have not been answered: answers go out in the order of the
  // requests, also where a durable job's is ready after a later one's.
  std::map<uint64_t, Submission> submitting_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_submission_ ABSL_GUARDED_BY(mutex_) = 0;
  bool include_output_ ABSL_GUARDED_BY(mutex_) = false;
  bool first_ ABSL_GUARDED_BY(mutex_) = true;
  // Requests with jobs to follow still come, or may no longer come.
  bool gathering_ ABSL_GUARDED_BY(mutex_) = false;
  bool gathered_ ABSL_GUARDED_BY(mutex_) = false;
  // A request waits until an answer has been sent.
  bool read_later_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
