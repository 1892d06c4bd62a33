// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

// Accepts the agent's connections and hands them to gRPC. gRPC 1.51's own
// listener stops for ever after one EMFILE (CVE-2023-4785); this one waits and
// goes on. It also knows who is at the other end of a unix socket.
class Listener {
 public:
  using Acceptor = std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>;

  // Listening descriptors; those of unix sockets admit only this user and root.
  struct Socket {
    UniqueFd fd;
    bool is_unix = false;
  };

  Listener(std::vector<Socket> sockets, Acceptor acceptor);
  ~Listener();

  // From the first call on connections are taken. The server must have been started.
  Status Start();

  // A loopback TCP address to listen on; any other is refused: without TLS
  // nobody beyond this machine may come in. Port 0 takes a free one; `port` is
  // what it became.
  static Result<UniqueFd> ListenLoopback(const std::string& host, uint16_t port, uint16_t* bound);

 private:
  void Accept(const Socket& socket);
  void Pause();

  std::vector<Socket> sockets_;
  const Acceptor acceptor_;
  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
  bool paused_ = false;
};

}  // namespace brood
