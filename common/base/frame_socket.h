// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// A frame is a spec of at most 1 MiB and what is around it.
inline constexpr size_t kFrameBytesMax = 2 << 20;
// The kernel passes at most 253 descriptors with one message (SCM_MAX_FD).
inline constexpr size_t kFrameFdsMax = 250;
// What may wait to be sent to a peer that does not read, before it is given up.
inline constexpr size_t kFrameBacklogBytesMax = 64 << 20;

// Frames of bytes, each with descriptors, over a connected non-blocking
// SOCK_STREAM unix socket: 4 bytes of little-endian length, then the payload;
// descriptors travel with the frame's first byte. Not thread-safe: one owner,
// or a lock around it.
class FrameSocket {
 public:
  // Takes the descriptor and makes it non-blocking.
  explicit FrameSocket(UniqueFd fd);

  // Queues one frame and sends what the socket takes now. The descriptors are
  // sent as duplicates; the caller keeps its own. Error if the peer is gone or
  // the backlog is past its limit.
  Status Send(std::string_view payload, const std::vector<int>& fds = {});

  // Sends more of the backlog; call when the socket is writable.
  Status Flush();
  bool wants_write() const { return !backlog_.empty(); }

  // Reads what is there and hands every whole frame on, in order; inside the
  // sink, TakeFd gives the frame's descriptors. The sink must not call Receive.
  // Returns false at end-of-file; an error for a broken frame.
  using Sink = std::function<void(std::string_view payload)>;
  Result<bool> Receive(const Sink& sink);

  // The oldest descriptor received and not yet taken; an empty one if none.
  UniqueFd TakeFd();

  int fd() const { return fd_.get(); }

 private:
  struct Pending {
    std::string bytes;
    size_t sent = 0;
    std::vector<UniqueFd> fds;
  };
  UniqueFd fd_;
  std::deque<Pending> backlog_;
  size_t backlog_bytes_ = 0;
  std::string input_;
  std::deque<UniqueFd> received_;
};

}  // namespace brood
