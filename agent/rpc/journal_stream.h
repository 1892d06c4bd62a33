// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "agent/rpc/event_page.h"
#include "agent/rpc/write_watch.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// A stream of events out of the journal: a cursor and at most one write in flight.
// A reader that stops reading costs one response; it is the journal that waits for
// it, for a while (write_watch.h). What it wants of the journal, and when it is over, its heirs
// say.
class JournalStream : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                      public EventReader,
                      public std::enable_shared_from_this<JournalStream> {
 public:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnMore() override { Pump(); }

 protected:
  JournalStream(Agent* agent, grpc::CallbackServerContext* context)
      : agent_(agent), context_(context), pages_(agent->journal(), agent->spool()) {}
  ~JournalStream() override = default;

  // Whether it is sent. One caller at a time.
  virtual bool Wants(uint64_t job_key, int field, std::string_view event) = 0;
  // Whether there is nothing more to come, once the page that has been looked at is sent.
  // `at_head`: it goes to the journal's end.
  virtual bool Over(bool at_head) const = 0;
  // The call is done: what it held is to be let go.
  virtual void Release() = 0;

  // Events up to here are no longer kept, and the client was told so.
  virtual void Skipped(uint64_t until) = 0;

  // It lives from here on until OnDone.
  void Keep(StreamWatch* streams);
  // Sets cursor() to a token's place, or says what is wrong with it.
  Status Resume(const std::string& resume_token);
  std::string TokenOf(uint64_t cursor) const;
  // Nothing is sent before the greeting, whatever readers are told meanwhile: call this
  // before the feed knows of it.
  void HoldForGreeting();
  // Sends this before any event; then it goes on by itself.
  void Greet(std::string message);
  // Sends what there is; any thread.
  void Pump();
  void End(const grpc::Status& status);

  Agent* agent() const { return agent_; }
  uint64_t cursor() const { return cursor_; }
  void set_cursor(uint64_t cursor) { cursor_ = cursor; }
  void set_include_output(bool include) { include_output_ = include; }
  void set_follow(bool follow) { follow_ = follow; }

 private:
  void OnSlow();

  Agent* const agent_;
  grpc::CallbackServerContext* const context_;
  const EventPages pages_;
  std::shared_ptr<JournalStream> self_;
  std::shared_ptr<WriteWatch> write_;
  grpc::ByteBuffer response_;
  bool include_output_ = false;
  bool follow_ = false;
  uint64_t cursor_ = 0;  // the pumper's alone once it runs

  absl::Mutex mutex_;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
