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

  // Whom a listening descriptor lets in.
  enum class Door {
    kUnix,       // this user and root
    kPlaintext,  // whoever connects
    kTls,        // who has a certificate
  };
  struct Socket {
    UniqueFd fd;
    Door door = Door::kUnix;
  };

  // `tls` takes the connections of doors with TLS; may be null if there are none.
  Listener(std::vector<Socket> sockets, Acceptor plain, Acceptor tls);
  ~Listener();

  // From the first call on connections are taken. The server must have been started.
  Status Start();

  // Listens on a TCP address: numbers, or a name, of which the first address is taken. Through a
  // door without TLS nobody beyond this machine may come in: judged by what was bound, any address
  // that is not loopback is refused, before the first connection could be made. Port 0 takes a free
  // one; `bound` is what it became, "127.0.0.1:7431".
  static Result<Socket> ListenTcp(const std::string& host, uint16_t port, Door door,
                                  std::string* bound);

 private:
  void Accept(const Socket& socket);
  void Pause();

  std::vector<Socket> sockets_;
  const Acceptor plain_;
  const Acceptor tls_;
  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
  bool paused_ = false;
};

}  // namespace brood
