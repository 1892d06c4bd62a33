// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include <chrono>
#include <utility>

#include "agent/rpc/limits.h"
#include "common/base/planted_bug.h"
#include "grpc/health/v1/health.pb.h"

namespace brood {
namespace {

// For answers under way, e.g. that of StopAgent itself.
constexpr std::chrono::milliseconds kShutdownGrace{200};

}  // namespace

Server::Server(Agent* agent, std::function<void()> stop)
    : streams_(agent->options().reader_patience),
      jobs_(agent, &streams_),
      parents_(agent, &streams_),
      host_(agent, std::move(stop)) {}

Result<std::unique_ptr<Server>> Server::Create(Agent* agent, std::vector<Listener::Socket> sockets,
                                               const std::optional<TlsSettings>& tls,
                                               std::function<void()> stop) {
  // Reflection describes what the generated pool holds; gRPC's own health
  // service has no descriptor, so it is linked in here.
  (void)grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();

  std::unique_ptr<Server> server(new Server(agent, std::move(stop)));
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("brood-agent");
  quota.Resize(kRpcMemoryBytes);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kPingIntervalMinMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 1);
  builder.RegisterService(&server->jobs_);
  builder.RegisterService(&server->parents_);
  builder.RegisterService(&server->host_);
  constexpr auto kFromFd = grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD;
  Listener::Acceptor plain = builder.experimental().AddExternalConnectionAcceptor(
      kFromFd, grpc::InsecureServerCredentials());
  Listener::Acceptor with_tls;
  if (tls) {
    with_tls =
        builder.experimental().AddExternalConnectionAcceptor(kFromFd, MakeTlsCredentials(*tls));
  }
  if (Planted(Bug::kStockListener)) {
    sockets.clear();
    builder.AddListeningPort("unix:" + agent->options().socket_path,
                             grpc::InsecureServerCredentials());
  }
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return Error{ErrorCode::kInternal, "SERVER_FAILED", "gRPC could not start its server", ""};
  }
  server->listener_ =
      std::make_unique<Listener>(std::move(sockets), std::move(plain), std::move(with_tls));
  return server;
}

Server::~Server() {
  listener_.reset();
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
}

}  // namespace brood
