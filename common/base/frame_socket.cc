// SPDX-License-Identifier: Apache-2.0
#include "common/base/frame_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/failpoint.h"

namespace brood {
namespace {

constexpr size_t kLengthBytes = 4;
// Most reads bring a frame or two: touching more memory than that is dear in a process that
// forks, where each page that is written to has to be copied again. Who brings more is read in
// bulk.
constexpr size_t kFirstReadBytes = 4 * 1024;
constexpr size_t kReadBytes = 64 * 1024;

// One sendmsg: bytes sent, or -1 with errno.
ssize_t SendOnce(int socket, std::string_view bytes, const std::vector<int>& fds) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFrameFdsMax)];
  if (!fds.empty()) {
    const size_t size = sizeof(int) * fds.size();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), fds.data(), size);
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

Error BrokenFrame(const std::string& why) {
  return Error{ErrorCode::kInternal, "BROKEN_FRAME", "the peer sent a broken frame: " + why, ""};
}

}  // namespace

FrameSocket::FrameSocket(UniqueFd fd) : fd_(std::move(fd)) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

Status FrameSocket::Send(std::string_view payload, const std::vector<int>& fds) {
  if (payload.size() > kFrameBytesMax || fds.size() > kFrameFdsMax) {
    return Error{ErrorCode::kResourceExhausted, "FRAME_TOO_LARGE", "a frame is over its limit", ""};
  }
  if (backlog_bytes_ + payload.size() > kFrameBacklogBytesMax) {
    return Error{ErrorCode::kUnavailable, "PEER_STUCK", "the peer has stopped reading", ""};
  }
  Pending frame;
  const auto size = static_cast<uint32_t>(payload.size());
  frame.bytes.reserve(kLengthBytes + payload.size());
  frame.bytes.append(reinterpret_cast<const char*>(&size), kLengthBytes);
  frame.bytes.append(payload);
  if (backlog_.empty()) {
    size_t part = frame.bytes.size();
    const ssize_t sent =
        FailsAt("frame.send", &part) ? -1 : SendOnce(fd_.get(), {frame.bytes.data(), part}, fds);
    if (sent < 0 && errno != EAGAIN) return ErrnoError(errno, "send a frame");
    if (sent == static_cast<ssize_t>(frame.bytes.size())) return Ok();
    if (sent > 0) frame.sent = static_cast<size_t>(sent);
  }
  // It has to wait, with duplicates of descriptors that have not gone yet.
  if (frame.sent == 0) {
    for (const int fd : fds) frame.fds.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  }
  backlog_bytes_ += frame.bytes.size();
  backlog_.push_back(std::move(frame));
  return Ok();
}

Status FrameSocket::Flush() {
  while (!backlog_.empty()) {
    Pending& frame = backlog_.front();
    std::vector<int> fds;
    for (const UniqueFd& fd : frame.fds) fds.push_back(fd.get());
    const ssize_t sent = SendOnce(fd_.get(), std::string_view(frame.bytes).substr(frame.sent), fds);
    if (sent < 0) return errno == EAGAIN ? Ok() : Status(ErrnoError(errno, "send a frame"));
    frame.fds.clear();  // They went with the first byte.
    frame.sent += static_cast<size_t>(sent);
    if (frame.sent < frame.bytes.size()) continue;
    backlog_bytes_ -= frame.bytes.size();
    backlog_.pop_front();
  }
  return Ok();
}

Result<bool> FrameSocket::Receive(const Sink& sink) {
  for (size_t wanted = kFirstReadBytes;; wanted = kReadBytes) {
    const size_t old_size = input_.size();
    input_.resize(old_size + wanted);
    iovec part{input_.data() + old_size, wanted};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFrameFdsMax)];
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const int error_number = errno;
    input_.resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    Failpoint("frame.received");
    if (got < 0) {
      if (error_number == EINTR) continue;
      if (error_number == EAGAIN) return true;
      return ErrnoError(error_number, "receive a frame");
    }
    if (got == 0) return false;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      std::vector<int> fds(count);
      std::memcpy(fds.data(), CMSG_DATA(header), count * sizeof(int));
      for (const int fd : fds) received_.emplace_back(fd);
    }
    // Out of descriptors: the kernel has dropped some, and of the others it is not known whose they
    // are. The frames that came with them have none.
    const bool lost = (message.msg_flags & MSG_CTRUNC) != 0;
    if (lost) received_.clear();
    size_t at = 0;
    while (input_.size() - at >= kLengthBytes) {
      uint32_t size = 0;
      std::memcpy(&size, input_.data() + at, kLengthBytes);
      if (size > kFrameBytesMax) return BrokenFrame("a length over the limit");
      if (input_.size() - at - kLengthBytes < size) break;
      sink(std::string_view(input_).substr(at + kLengthBytes, size));
      at += kLengthBytes + size;
    }
    input_.erase(0, at);
    // The rest of this frame would take the descriptors of the next.
    if (lost && !input_.empty()) return BrokenFrame("descriptors were lost (out of descriptors?)");
    // A short read emptied the socket: the next one would only say EAGAIN.
    if (static_cast<size_t>(got) < wanted && message.msg_controllen == 0) return true;
  }
}

UniqueFd FrameSocket::TakeFd() {
  if (received_.empty()) return UniqueFd();
  UniqueFd fd = std::move(received_.front());
  received_.pop_front();
  return fd;
}

}  // namespace brood
