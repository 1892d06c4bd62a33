// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/rpc/limits.h"
#include "common/base/clock.h"
#include "common/base/unix_socket.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

constexpr int kBacklog = 256;
// How long to wait after running out of descriptors, before trying again.
constexpr int64_t kPauseNanos = 50'000'000;

// Descriptors are given lowest first: a high number means that few are left.
bool LeavesSpare(int fd) {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
         static_cast<rlim_t>(fd) + kSpareFds < limit.rlim_cur;
}

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

std::string AddressText(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  return std::string("[") + text + "]:" + std::to_string(ntohs(v6.sin6_port));
}

}  // namespace

Result<Listener::Socket> Listener::ListenTcp(const std::string& host, uint16_t port, Door door,
                                             std::string* bound) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  // Else it may be ::1 only.
  const std::string name = host == "localhost" ? "127.0.0.1" : host;
  const int failed = ::getaddrinfo(name.c_str(), std::to_string(port).c_str(), &wanted, &found);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  if (failed != 0) {
    return Error{ErrorCode::kInvalidArgument, "BAD_ADDRESS",
                 "--listen: '" + host + "' is no address: " + ::gai_strerror(failed) +
                     "; give one of this machine, as 10.0.0.1:7431 or [::]:7431",
                 ""};
  }
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError(errno, "socket");
  const int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return ErrnoError(errno, "bind to '" + host + ":" + std::to_string(port) + "'");
  }
  // Judged by what was bound, not by what was asked for.
  sockaddr_storage actual{};
  socklen_t size = sizeof(actual);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&actual), &size) != 0) {
    return ErrnoError(errno, "look at the socket");
  }
  if (door != Door::kTls && !IsLoopback(actual)) {
    return Error{ErrorCode::kInvalidArgument, "NOT_LOOPBACK",
                 "--listen: '" + host +
                     "' can be reached from other machines, and --insecure-loopback is for "
                     "loopback only; leave it out, and give the agent a certificate "
                     "(`brood certs issue agent NAME`)",
                 ""};
  }
  if (::listen(fd.get(), kBacklog) != 0) return ErrnoError(errno, "listen");
  *bound = AddressText(actual);
  return Socket{std::move(fd), door};
}

Listener::Listener(std::vector<Socket> sockets, Acceptor plain, Acceptor tls)
    : sockets_(std::move(sockets)), plain_(std::move(plain)), tls_(std::move(tls)) {}

Listener::~Listener() {
  if (!thread_.joinable()) return;
  loop_->Stop();
  thread_.join();
}

Status Listener::Start() {
  if (thread_.joinable()) return Ok();
  Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop) return loop.error();
  loop_ = std::move(*loop);
  for (const Socket& socket : sockets_) {
    if (Status failed =
            loop_->Add(socket.fd.get(), EPOLLIN, [this, &socket](uint32_t) { Accept(socket); })) {
      return failed;
    }
  }
  thread_ = std::thread([this] { loop_->Run(); });
  return Ok();
}

void Listener::Accept(const Socket& socket) {
  UniqueFd fd(::accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) Pause();
    return;
  }
  if (!LeavesSpare(fd.get())) {
    spdlog::warn("a connection was refused: almost out of descriptors");
    return;
  }
  if (socket.door == Door::kUnix) {
    const Result<PeerCredentials> peer = ReadPeerCredentials(fd.get());
    if (!peer || (peer->uid != ::geteuid() && peer->uid != 0)) {
      spdlog::warn("a connection of user {} was refused", peer ? peer->uid : 0);
      return;
    }
  } else {
    const int one = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = socket.fd.get();
  parameters.fd = fd.release();
  (socket.door == Door::kTls ? tls_ : plain_)->HandleNewConnection(&parameters);
}

void Listener::Pause() {
  if (std::exchange(paused_, true)) return;
  spdlog::warn("out of descriptors: no connections for a moment");
  // The pending connection keeps the socket readable: look away, or spin.
  for (const Socket& socket : sockets_) loop_->Change(socket.fd.get(), 0);
  loop_->At(BootTime{BootTimeNanos() + kPauseNanos}, [this] {
    paused_ = false;
    for (const Socket& socket : sockets_) loop_->Change(socket.fd.get(), EPOLLIN);
  });
}

}  // namespace brood
