// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"

namespace brood {

void SpoolStream::Attach(UniqueFd pipe, uint64_t kept) {
  kept_ = kept + (kept > 0 && Planted(Bug::kOutputOffsetOffByOne) ? 1 : 0);
  pipe_ = std::move(pipe);
  if (pipe_) ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
}

size_t SpoolStream::Drain(const SpoolContext& context, uint64_t job_key, OutputStream stream,
                          size_t budget) {
  size_t moved = 0;
  while (pipe_ && !at_end_ && moved < budget) {
    // Nothing leaves the pipe before there is a file: this process may be killed in between. And
    // a job without output costs none.
    if (!file_ && !full_) {
      if (!HasBytes()) break;
      OpenFile(context, job_key, stream);
    }
    const size_t some = MoveSome(context, std::min(budget - moved, kSpoolBufferBytes));
    if (some == 0) break;
    moved += some;
    FreeFront();
  }
  return moved;
}

bool SpoolStream::HasBytes() {
  pollfd pipe{pipe_.get(), POLLIN, 0};
  int found = 0;
  do {
    found = ::poll(&pipe, 1, 0);
  } while (found < 0 && errno == EINTR);
  if (found <= 0) return false;
  at_end_ = (pipe.revents & POLLIN) == 0;
  return !at_end_;
}

size_t SpoolStream::MoveSome(const SpoolContext& context, size_t most) {
  const auto fits = static_cast<size_t>(std::min<uint64_t>(most, Room(context)));
  if (fits > 0 && !full_ && can_splice_) {
    const size_t some = SpliceSome(fits);
    if (can_splice_ && !full_) return some;
  }
  if (fits > 0 && !full_) return ReadSome(context, fits);
  const size_t some = DropSome(context, most);
  past_cap_ = past_cap_ || (fits == 0 && some > 0);
  return some;
}

uint64_t SpoolStream::Room(const SpoolContext& context) const {
  if (is_ring()) return UINT64_MAX;
  const uint64_t most = settings_ ? settings_->stream_bytes_max : context.stream_bytes_max;
  return most - std::min(most, kept_);
}

void SpoolStream::FreeFront() {
  if (!is_ring() || begin() < freed_ + kFreeBytes) return;
  FreeBytes(file_.get(), freed_, begin());
  freed_ = begin() / kFreeBytes * kFreeBytes;
}

void SpoolStream::OpenFile(const SpoolContext& context, uint64_t job_key, OutputStream stream) {
  Result<UniqueFd> file = context.files->Create(job_key, stream);
  if (!file) {
    full_ = true;
    return;
  }
  file_ = *std::move(file);
}

size_t SpoolStream::ReadSome(const SpoolContext& context, size_t most) {
  ssize_t got = 0;
  do {
    got = ::read(pipe_.get(), context.buffer, most);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    at_end_ = got == 0 || errno != EAGAIN;
    return 0;
  }
  const size_t size = static_cast<size_t>(got);
  size_t done = 0;
  while (!full_ && done < size) {
    const ssize_t written =
        ::pwrite(file_.get(), context.buffer + done, size - done, static_cast<off_t>(kept_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      full_ = true;
      break;
    }
    done += static_cast<size_t>(written);
    kept_ += static_cast<uint64_t>(written);
  }
  dropped_ += size - done;
  return size;
}

size_t SpoolStream::SpliceSome(size_t most) {
  loff_t offset = static_cast<loff_t>(kept_);
  ssize_t moved = 0;
  do {
    moved = FailsAt("output.splice", &most) ? -1
                                            : ::splice(pipe_.get(), nullptr, file_.get(), &offset,
                                                       most, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  } while (moved < 0 && errno == EINTR);
  if (moved > 0) {
    Failpoint("output.spliced");
    kept_ += static_cast<uint64_t>(moved);
    return static_cast<size_t>(moved);
  }
  if (moved == 0) {
    at_end_ = true;
  } else if (errno == EINVAL) {
    can_splice_ = false;
  } else if (errno != EAGAIN) {
    full_ = true;
  }
  return 0;
}

size_t SpoolStream::DropSome(const SpoolContext& context, size_t most) {
  ssize_t moved = 0;
  do {
    moved = ::splice(pipe_.get(), nullptr, context.null_fd, nullptr, most, SPLICE_F_NONBLOCK);
    if (moved < 0 && errno == EINVAL) moved = ::read(pipe_.get(), context.buffer, most);
  } while (moved < 0 && errno == EINTR);
  if (moved <= 0) {
    at_end_ = moved == 0 || errno != EAGAIN;
    return 0;
  }
  dropped_ += static_cast<uint64_t>(moved);
  return static_cast<size_t>(moved);
}

}  // namespace brood
