// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_writer.h"

namespace brood {

// A parent's notes: stamps them with the time and keeps, in order, those that
// the disk had no room for. Thread-safe.
class Notes {
 public:
  // `on_held` is called, from any thread, when a note had to be kept; Retry is then due.
  Notes(std::unique_ptr<OutboxWriter> outbox, std::function<void()> on_held);

  // Notes without ringing. Kept for Retry if it cannot be written.
  void Add(Note note, std::string_view text = {});

  // Notes without ringing; false, and nothing kept, if it cannot be written now.
  bool TryAdd(Note note, std::string_view text = {});

  // FAILED_TO_START: `step` in one word, `sentence` for people.
  void AddFailed(uint64_t job_key, uint32_t attempt, std::string_view step, int error_number,
                 std::string_view sentence);

  // Wakes the agent if anything was noted since it was rung for last.
  void Ring();
  // For the main thread: the same once its round is over, so that the ends it found and the starts
  // that follow wake the agent once.
  void RingAfterRound();
  void EndRound();
  // Ring, if that is longer ago than kRingPeriodNanos.
  void RingSometimes();

  // Writes what was kept; true if nothing is kept any more.
  bool Retry();

  int bell() const { return outbox_->bell(); }

 private:
  struct Held {
    Note note;
    std::string text;
  };
  bool WriteHeld();

  const std::unique_ptr<OutboxWriter> outbox_;
  const std::function<void()> on_held_;
  std::atomic<int64_t> last_ring_ns_{0};
  std::atomic<bool> unrung_{false};  // a note stands that no bell was rung for
  std::atomic<bool> holds_{false};
  bool due_ = false;  // the main thread's
  std::mutex mutex_;
  std::deque<Held> held_;  // guarded by mutex_
};

}  // namespace brood
