// SPDX-License-Identifier: Apache-2.0
#include "agent/host/job_inputs.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace brood {

JobInputs::Input* JobInputs::FindOrMake(uint64_t job_key) {
  const auto found = inputs_.find(job_key);
  if (found != inputs_.end()) return &found->second;
  return lives_(job_key) ? &inputs_[job_key] : nullptr;
}

void JobInputs::Write(uint64_t job_key, std::string bytes, Written written) {
  loop_->Post([this, job_key, bytes = std::move(bytes), written = std::move(written)]() mutable {
    Input* const input = FindOrMake(job_key);
    if (input == nullptr) return written(Taken::kEnded);
    if (input->written || input->close_when_written) return written(Taken::kClosed);
    input->bytes = std::move(bytes);
    input->done = 0;
    input->written = std::move(written);
    Push(job_key);
  });
}

void JobInputs::Close(uint64_t job_key) {
  loop_->Post([this, job_key] {
    Input* const input = FindOrMake(job_key);
    if (input == nullptr) return;
    input->close_when_written = true;
    Push(job_key);
  });
}

void JobInputs::TellEnd(uint64_t job_key, std::function<void()> ended) {
  loop_->Post([this, job_key, ended = std::move(ended)]() mutable {
    Input* const input = FindOrMake(job_key);
    if (input == nullptr) return ended();
    input->to_tell.push_back(std::move(ended));
  });
}

void JobInputs::Attach(uint64_t job_key, UniqueFd write_end) {
  ::fcntl(write_end.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
  Input* const input = FindOrMake(job_key);
  if (input == nullptr) return;
  input->fd = std::move(write_end);
  Push(job_key);
}

void JobInputs::Push(uint64_t job_key) {
  const auto found = inputs_.find(job_key);
  if (found == inputs_.end() || !found->second.fd) return;
  Input& input = found->second;
  while (input.written && input.done < input.bytes.size()) {
    const ssize_t wrote =
        ::write(input.fd.get(), input.bytes.data() + input.done, input.bytes.size() - input.done);
    if (wrote >= 0) {
      input.done += static_cast<size_t>(wrote);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      if (!input.watched) {
        input.watched = true;
        loop_->Add(input.fd.get(), EPOLLOUT, [this, job_key](uint32_t) { Push(job_key); });
      }
      return;
    }
    Shut(job_key, &input);  // EPIPE: the job wants no more; that is no error.
    return;
  }
  if (input.watched) {
    input.watched = false;
    loop_->Remove(input.fd.get());
  }
  if (const Written written = std::exchange(input.written, nullptr)) written(Taken::kYes);
  const auto again = inputs_.find(job_key);  // `written` may have asked for more.
  if (again != inputs_.end() && again->second.close_when_written && !again->second.written) {
    again->second.fd.reset();
  }
}

void JobInputs::Shut(uint64_t job_key, Input* input) {
  if (input->watched) loop_->Remove(input->fd.get());
  input->watched = false;
  input->fd.reset();
  const Written written = std::exchange(input->written, nullptr);
  inputs_[job_key].close_when_written = true;
  if (written) written(Taken::kClosed);
}

void JobInputs::Forget(uint64_t job_key) {
  const auto found = inputs_.find(job_key);
  if (found == inputs_.end()) return;
  if (found->second.watched) loop_->Remove(found->second.fd.get());
  const Written written = std::exchange(found->second.written, nullptr);
  const std::vector<std::function<void()>> to_tell = std::exchange(found->second.to_tell, {});
  inputs_.erase(found);
  if (written) written(Taken::kClosed);
  for (const std::function<void()>& ended : to_tell) ended();
}

}  // namespace brood
