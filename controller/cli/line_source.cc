// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/line_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace brood::cli {
namespace {

constexpr size_t kReadBytes = 64 << 10;

}  // namespace

Result<std::unique_ptr<LineSource>> LineSource::Open(const std::string& path, int in_fd,
                                                     EventLoop* loop, std::function<void()> more) {
  UniqueFd own;
  if (path != "-") {
    own.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!own) return ErrnoError(errno, "open '" + path + "'");
  }
  const int fd = own ? own.get() : in_fd;
  return std::unique_ptr<LineSource>(
      new LineSource(std::move(own), fd, path == "-" ? "standard input" : "'" + path + "'", loop,
                     std::move(more)));
}

LineSource::LineSource(UniqueFd own, int fd, std::string name, EventLoop* loop,
                       std::function<void()> more)
    : own_(std::move(own)), fd_(fd), name_(std::move(name)), loop_(loop), more_(std::move(more)) {}

LineSource::~LineSource() {
  if (waiting_) loop_->Remove(fd_);
}

LineSource::Got LineSource::Fail(Error error) {
  error_ = std::move(error);
  return Got::kError;
}

// False if nothing can be read without waiting.
bool LineSource::ReadSome() {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, loop_ == nullptr ? -1 : 0) <= 0) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t size = buffer_.size();
  buffer_.resize(size + kReadBytes);
  const ssize_t got = ::read(fd_, buffer_.data() + size, kReadBytes);
  const int error = errno;
  buffer_.resize(size + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got < 0 && (error == EINTR || error == EAGAIN)) return false;
  if (got < 0) error_ = ErrnoError(error, "read " + name_);
  if (got <= 0) end_ = true;
  return true;
}

LineSource::Got LineSource::Next(std::string* line) {
  while (true) {
    const size_t end = buffer_.find('\n', at_);
    const size_t size = (end == std::string::npos ? buffer_.size() : end) - at_;
    if (size > kLineBytesMax) {
      return Fail(FieldError("--each", "line " + std::to_string(lines_ + 1) + " of " + name_ +
                                           " is longer than " + std::to_string(kLineBytesMax) +
                                           " bytes; a word of a command cannot be"));
    }
    if (end != std::string::npos || (end_ && size > 0)) {
      line->assign(buffer_, at_, size);
      at_ += size + (end != std::string::npos ? 1 : 0);
      ++lines_;
      return Got::kLine;
    }
    if (error_) return Got::kError;
    if (end_) return Got::kEnd;
    if (waiting_) return Got::kLater;
    if (ReadSome() || loop_ == nullptr) continue;
    const Status added = loop_->Add(fd_, EPOLLIN, [this](uint32_t) {
      loop_->Remove(fd_);
      waiting_ = false;
      more_();
    });
    if (added) return Fail(*added);
    waiting_ = true;
    return Got::kLater;
  }
}

}  // namespace brood::cli
