// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/host/agent.h"
#include "agent/rpc/host_service.h"
#include "agent/rpc/job_service.h"
#include "agent/rpc/listener.h"
#include "agent/rpc/parent_service.h"
#include "agent/rpc/tls.h"
#include "agent/rpc/write_watch.h"

namespace brood {

// The agent's gRPC server: its services, reflection, health and channelz, behind
// its own listener.
class Server {
 public:
  // Takes no connection yet: those that come wait in the sockets' backlog. `stop` is called, from
  // another thread, when a client has stopped the agent. `tls` is for sockets whose door asks for
  // it.
  static Result<std::unique_ptr<Server>> Create(Agent* agent, std::vector<Listener::Socket> sockets,
                                                const std::optional<TlsSettings>& tls,
                                                std::function<void()> stop);
  // Takes connections, from the first call of this on.
  Status Serve() { return listener_->Start(); }
  // Takes no more calls, gives those under way a moment, and ends them.
  ~Server();

 private:
  Server(Agent* agent, std::function<void()> stop);

  StreamWatch streams_;
  JobService jobs_;
  ParentService parents_;
  HostService host_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace brood
