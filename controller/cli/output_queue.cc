// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/output_queue.h"

#include <absl/synchronization/mutex.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <set>
#include <thread>
#include <utility>

namespace brood::cli {
namespace {

// Pieces are joined up to this size: as much as a pipe takes at once.
constexpr size_t kJoinBytes = 64 << 10;

// 0, or the errno.
int WriteFully(int fd, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t size = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (size >= 0) {
      at += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {
      // Somebody who shares the descriptor has made it non-blocking.
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

struct OutputQueue::State {
  struct Piece {
    int fd;
    std::string bytes;
  };

  // Calls `work` in the loop's thread, unless the queue is gone by then.
  void Post(std::function<void()> work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (loop != nullptr) loop->Post(std::move(work));
  }

  absl::Mutex mutex;
  EventLoop* loop ABSL_GUARDED_BY(mutex) = nullptr;  // null once the queue is gone
  std::function<void()> drained;
  std::function<void(int, int)> failed;
  std::deque<Piece> pieces ABSL_GUARDED_BY(mutex);
  size_t bytes ABSL_GUARDED_BY(mutex) = 0;  // waiting, and being written
  bool was_full ABSL_GUARDED_BY(mutex) = false;
  std::set<int> broken ABSL_GUARDED_BY(mutex);
  size_t untold ABSL_GUARDED_BY(mutex) = 0;  // failures that `failed` has not heard of yet

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return !pieces.empty() || loop == nullptr;
  }
};

OutputQueue::OutputQueue(EventLoop& loop, std::function<void()> drained,
                         std::function<void(int fd, int error_number)> failed)
    : state_(std::make_shared<State>()) {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->loop = &loop;
  }
  state_->drained = std::move(drained);
  state_->failed = std::move(failed);
  std::thread([state = state_] { WriteAll(state); }).detach();
}

OutputQueue::~OutputQueue() {
  absl::MutexLock lock(&state_->mutex);
  state_->loop = nullptr;
}

void OutputQueue::WriteAll(const std::shared_ptr<State>& state) {
  while (true) {
    State::Piece piece;
    {
      absl::MutexLock lock(&state->mutex);
      state->mutex.Await(absl::Condition(state.get(), &State::HasWork));
      if (state->loop == nullptr) return;
      piece = std::move(state->pieces.front());
      state->pieces.pop_front();
      if (state->broken.count(piece.fd) > 0) piece.fd = -1;
    }
    const int error = piece.fd < 0 ? 0 : WriteFully(piece.fd, piece.bytes);
    absl::MutexLock lock(&state->mutex);
    state->bytes -= piece.bytes.size();
    // `state` keeps itself alive in what it posts; the loop is alive as long as the queue is.
    if (error != 0 && state->broken.insert(piece.fd).second) {
      ++state->untold;
      state->Post([state, fd = piece.fd, error] {
        {
          absl::MutexLock told(&state->mutex);
          --state->untold;
        }
        state->failed(fd, error);
      });
    }
    const bool low = state->was_full && state->bytes < kHighBytes / 4;
    if (low || state->bytes == 0) {
      state->was_full = false;
      state->Post([state] { state->drained(); });
    }
  }
}

void OutputQueue::Write(int fd, std::string bytes) {
  if (bytes.empty()) return;
  absl::MutexLock lock(&state_->mutex);
  if (state_->broken.count(fd) > 0) return;
  state_->bytes += bytes.size();
  if (state_->bytes >= kHighBytes) state_->was_full = true;
  auto& pieces = state_->pieces;
  if (!pieces.empty() && pieces.back().fd == fd &&
      pieces.back().bytes.size() + bytes.size() <= kJoinBytes) {
    pieces.back().bytes += bytes;
  } else {
    pieces.push_back({fd, std::move(bytes)});
  }
}

bool OutputQueue::Idle() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->bytes == 0 && state_->untold == 0;
}

bool OutputQueue::Full() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->bytes >= kHighBytes;
}

}  // namespace brood::cli
