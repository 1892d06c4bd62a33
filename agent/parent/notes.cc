// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/notes.h"

#include <utility>

#include "agent/parent/limits.h"
#include "common/base/clock.h"

namespace brood {
namespace {

void Stamp(Note* note) {
  const Instant now = RealClock().Now();
  note->boot_ns = now.boot.ns;
  note->wall_ns = now.wall.ns;
}

}  // namespace

Notes::Notes(std::unique_ptr<OutboxWriter> outbox, std::function<void()> on_held)
    : outbox_(std::move(outbox)), on_held_(std::move(on_held)) {}

bool Notes::TryAdd(Note note, std::string_view text) {
  Stamp(&note);
  // A later note must not overtake those that are kept.
  if (holds_.load(std::memory_order_acquire) && !Retry()) return false;
  if (!outbox_->AppendQuietly(note, text)) return false;
  unrung_.store(true, std::memory_order_release);
  return true;
}

void Notes::Add(Note note, std::string_view text) {
  if (TryAdd(note, text)) return;
  Stamp(&note);
  {
    const std::lock_guard lock(mutex_);
    held_.push_back(Held{note, std::string(text)});
    holds_.store(true, std::memory_order_release);
  }
  on_held_();
}

void Notes::AddFailed(uint64_t job_key, uint32_t attempt, std::string_view step, int error_number,
                      std::string_view sentence) {
  Note note;
  note.kind = NoteKind::kFailedToStart;
  note.job_key = job_key;
  note.attempt = attempt;
  note.error_number = error_number;
  note.slot = kNoSlot;
  std::string text(step);
  text.push_back('\0');
  text.append(sentence.substr(0, kNoteTextBytesMax / 2));
  Add(note, text);
}

void Notes::Ring() {
  // Who takes the mark rings for all notes that stand by then; others need not.
  if (unrung_.exchange(false, std::memory_order_acq_rel)) outbox_->Ring();
}

void Notes::RingAfterRound() { due_ = true; }

void Notes::EndRound() {
  if (std::exchange(due_, false)) Ring();
}

void Notes::RingSometimes() {
  const int64_t now = BootTimeNanos();
  int64_t last = last_ring_ns_.load(std::memory_order_relaxed);
  if (now - last < kRingPeriodNanos) return;
  if (last_ring_ns_.compare_exchange_strong(last, now, std::memory_order_relaxed)) Ring();
}

bool Notes::Retry() {
  const std::lock_guard lock(mutex_);
  const bool written = WriteHeld();
  holds_.store(!written, std::memory_order_release);
  return written;
}

bool Notes::WriteHeld() {
  while (!held_.empty()) {
    if (!outbox_->AppendQuietly(held_.front().note, held_.front().text)) return false;
    held_.pop_front();
    unrung_.store(true, std::memory_order_release);
  }
  return true;
}

}  // namespace brood
