// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/core/effect.h"
#include "agent/core/fact.h"
#include "agent/host/job_inputs.h"
#include "agent/host/life.h"
#include "agent/host/memory_watch.h"
#include "agent/host/sequencer.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/outbox/slot_file.h"
#include "agent/process/limit_groups.h"
#include "agent/spool/spool.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/event_loop.h"
#include "common/base/frame_socket.h"

namespace brood {

// The agent's end of one life of a parent: its two connections, its outbox, its
// slot file. Translates notes and frames into the core's inputs. All calls in
// the loop's thread, but Send and SendCommands. Held by shared pointers, and who
// sends may be the last to hold it, in any thread.
class ParentLink final : public Life, public std::enable_shared_from_this<ParentLink> {
 public:
  // The answer to a ReadMemory; the error is set if the parent is gone.
  using MemoryDone = std::function<void(Result<internal::v1::MemoryAnswer>)>;

  ParentLink(ParentKey key, std::string directory, std::string socket_path,
             uint64_t agent_incarnation, EventLoop* loop, Sequencer* sequencer, Spool* spool,
             JobInputs* inputs);
  ~ParentLink() override;
  ParentLink(const ParentLink&) = delete;
  ParentLink& operator=(const ParentLink&) = delete;

  // Gives the loop back what it has of it and answers who still waits: nothing is
  // left then for the thread that destroys it. What is sent from here on is lost.
  void Shut();

  // Connects and says hello; false if nobody listens yet.
  bool TryConnect();

  void ReadNotes() override;
  // Deletes notes that are in the journal.
  void ReleaseNotes() {
    if (streamless_.empty()) outbox_.ReleaseRead();
  }
  std::vector<StartSlot> TakeStarts(
      const std::function<bool(uint64_t job_key)>& is_started) override {
    return RevokeStarts(directory_, is_started);
  }
  std::vector<StartSlot> ReadStarts() const override;
  CallFacts ReadCall(uint64_t job_key, uint32_t slot) const override;
  uint64_t CulpritJobKey() const override;
  bool WasOutOfMemory(uint64_t job_key) const override {
    return limit_groups_ != nullptr && limit_groups_->WasOutOfMemory(job_key);
  }
  void TakeWritesOf(uint64_t job_key) override { watch_.TakeWritesOf(job_key); }
  void TakeAllWrites() override { watch_.TakeAll(); }

  // Frames to the parent. Thread-safe. Lost without a word if the parent is
  // gone: its end is a fact that comes by the supervisor.
  void Send(const internal::v1::ToParent& frame);
  void SendCommands(const internal::v1::ToParent& frame);
  // The request's number is set here.
  void ReadMemory(internal::v1::ReadMemory request, MemoryDone done);

  MemoryWatch* watch() { return &watch_; }
  // Where it is asked what became of jobs with limits; they outlive it.
  void SetLimitGroups(const LimitGroups* groups) { limit_groups_ = groups; }

  const ParentKey& key() const override { return key_; }
  bool has_answered() const override { return has_answered_; }
  // By this agent.
  bool was_connected() const { return was_connected_; }
  const std::string& directory() const { return directory_; }
  // Of a library that could not be loaded; empty if all could.
  const std::string& library_error() const { return library_error_; }

 private:
  struct Channel {
    absl::Mutex mutex;
    std::unique_ptr<FrameSocket> socket ABSL_GUARDED_BY(mutex);
    FrameSocket* receiver = nullptr;  // the same, for the loop's thread alone
  };

  bool Open(Channel* channel, bool commands);
  void Receive(Channel* channel);
  void OnFrame(Channel* channel, const internal::v1::FromParent& frame);
  void OnWritable(Channel* channel);
  void Close(Channel* channel);
  void SendOn(Channel* channel, const internal::v1::ToParent& frame);
  void ArmWrite(Channel* channel);
  void OnNote(const Note& note, std::string_view text);
  void OnDoorbell();
  void TakeStreams(FrameSocket* receiver, const internal::v1::Streams& streams);
  bool MustWait(const Note& note, std::string_view text);
  void AwaitStreams();
  bool ReopenStreams(uint64_t job_key);

  const ParentKey key_;
  const std::string directory_;
  const std::string socket_path_;
  const uint64_t agent_incarnation_;
  EventLoop* const loop_;
  Sequencer* const sequencer_;
  Spool* const spool_;
  JobInputs* const inputs_;

  MemoryWatch watch_;
  OutboxReader outbox_;
  std::unique_ptr<SlotReader> slots_;
  Channel main_;
  Channel commands_;
  std::string library_error_;
  uint64_t damaged_notes_ = 0;
  // Jobs whose streams came when this process had no descriptor for them, with their ends, which
  // are not told before the streams are here.
  std::map<uint64_t, std::vector<std::pair<Note, std::string>>> streamless_;
  EventLoop::TimerId streams_timer_ = 0;
  const LimitGroups* limit_groups_ = nullptr;
  bool was_connected_ = false;
  bool has_answered_ = false;
  UniqueFd bell_;
  UniqueFd doorbell_;
  uint64_t next_request_ = 1;
  std::map<uint64_t, MemoryDone> memory_requests_;
  std::vector<std::pair<Note, std::string>> notes_;
};

}  // namespace brood
