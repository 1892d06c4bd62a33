// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/spool/spool_files.h"
#include "common/base/unique_fd.h"

namespace brood {

// What the streams of a spool share.
struct SpoolContext {
  const SpoolFiles* files;
  uint64_t stream_bytes_max;
  int null_fd;   // /dev/null, to throw bytes away without reading them
  char* buffer;  // kSpoolBufferBytes, for what cannot be spliced
};

// One pipe-full: what one read or splice moves at most.
inline constexpr size_t kSpoolBufferBytes = 64 << 10;

// One pipe on its way into one file. Never blocks on the pipe.
class SpoolStream {
 public:
  enum class State {
    kOpen,   // more may come
    kEnded,  // end-of-file: nobody can write any more
  };

  // Takes the read end of a pipe and makes it non-blocking; an empty one has ended already. `kept`:
  // bytes that are in the file already.
  void Attach(UniqueFd pipe, uint64_t kept);
  // Before the first Drain, for one that is not kept as the context says.
  void Use(const SpoolSettings& settings) { settings_ = settings; }

  // Moves what is in the pipe, about `budget` bytes at most, and returns how many it moved. Past
  // the cap, or when the disk is full, bytes are counted and thrown away.
  size_t Drain(const SpoolContext& context, uint64_t job_key, OutputStream stream, size_t budget);

  State state() const { return pipe_ ? State::kOpen : State::kEnded; }
  int pipe_fd() const { return pipe_.get(); }
  // After the pipe was taken out of the loop.
  void ClosePipe() { pipe_.reset(); }
  // True if Drain met the end-of-file; the pipe is still to be closed.
  bool at_end() const { return at_end_; }

  // Of a ring: the position behind the last byte.
  uint64_t kept() const { return kept_; }
  // The position of the first byte kept.
  uint64_t begin() const { return settings_ ? settings_->FirstKept(kept_) : 0; }
  // Thrown away, because of the cap or the disk; of a ring that is what stood before begin().
  uint64_t dropped() const { return dropped_ + begin(); }
  bool is_ring() const { return settings_ && settings_->is_ring(); }
  // Whether it went past the limit at which its job is to be ended.
  bool over_limit() const {
    return past_cap_ && settings_ && settings_->overflow == SpoolSettings::Overflow::kEnd;
  }

  // How far OnOutput told, and when it last did; for the spool.
  uint64_t marked = 0;
  int64_t last_mark_ns = 0;
  bool watched = false;

 private:
  bool HasBytes();  // sets at_end_
  // Bytes moved; 0 at the end-of-file (at_end_), or when the pipe is empty.
  size_t MoveSome(const SpoolContext& context, size_t most);
  size_t SpliceSome(size_t most);
  // For a file system that cannot splice: who is killed between read and write loses what it read.
  size_t ReadSome(const SpoolContext& context, size_t most);
  size_t DropSome(const SpoolContext& context, size_t most);
  void OpenFile(const SpoolContext& context, uint64_t job_key, OutputStream stream);

  UniqueFd pipe_;
  UniqueFd file_;
  uint64_t Room(const SpoolContext& context) const;
  void FreeFront();

  std::optional<SpoolSettings> settings_;
  uint64_t kept_ = 0;
  uint64_t freed_ = 0;  // of a ring: up to here
  uint64_t dropped_ = 0;
  bool at_end_ = false;
  bool past_cap_ = false;
  bool full_ = false;       // the disk takes no more
  bool can_splice_ = true;  // not every file system can
};

}  // namespace brood
