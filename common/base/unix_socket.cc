// SPDX-License-Identifier: Apache-2.0
#include "common/base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace brood {
namespace {

constexpr int kBacklog = 256;  // connections not yet accepted

Result<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error{ErrorCode::kInvalidArgument, "SOCKET_PATH_TOO_LONG",
                 "the socket path '" + path +
                     "' is longer than 107 bytes; set BROOD_RUNTIME_DIR to a shorter one",
                 ""};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::string& path) {
  Result<sockaddr_un> address = Address(path);
  if (!address) return address.error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError(errno, "socket");
  ::unlink(path.c_str());
  // Nobody connects before listen(): until then the mode can be set in peace.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return ErrnoError(errno, "listen on '" + path + "'");
  }
  return fd;
}

Result<UniqueFd> ConnectUnix(const std::string& path) {
  Result<sockaddr_un> address = Address(path);
  if (!address) return address.error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return ErrnoError(errno, "connect to '" + path + "'");
  }
  return fd;
}

Result<PeerCredentials> ReadPeerCredentials(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return ErrnoError(errno, "SO_PEERCRED");
  return PeerCredentials{peer.pid, peer.uid};
}

}  // namespace brood
